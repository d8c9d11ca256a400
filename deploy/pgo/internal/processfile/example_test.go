package processfile_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"pgo/deploy/pgo/internal/processfile"
)

// An error names the line, the column and the key, and what was expected there.
func ExampleLoad() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "pgo.yaml")
	text := `version: 1
processes:
  user:
    command: bin/user
    ready: {notify: true, within: 30}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	_, err = processfile.Load(path, os.LookupEnv)
	fmt.Println(strings.TrimPrefix(err.Error(), dir+"/"))
	// Output: pgo.yaml:5:27: processes.user.ready.within: expected a time such as 500ms, 30s or 10m, at most 24h, found "30"
}
