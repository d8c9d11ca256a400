package compose

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgo/deploy/stack/internal/checkout"
)

// Every file that lists the services names each of them.
func TestFilesNameEveryService(t *testing.T) {
	root, err := filepath.Abs("../../../..")
	if err != nil {
		t.Fatal(err)
	}
	read := func(path ...string) string {
		text, err := os.ReadFile(filepath.Join(append([]string{root}, path...)...))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	processes, pm2 := read("deploy", "runtime", "configs", "pgo.yaml"), read("deploy", "runtime", "configs", "ecosystem.config.js")
	compose := read("docker-compose.yml")
	for _, s := range checkout.Services() {
		for _, want := range []struct{ file, text, in string }{
			{"pgo.yaml", processes, fmt.Sprintf("\n  %s:\n    kind: service\n    command: /backend/%[1]s\n", s.Name)},
			{"pgo.yaml", processes, fmt.Sprintf("listeners: {http: \"0.0.0.0:%d\", admin: {addr: \"127.0.0.1:0\", shared: false}}", s.Port)},
			{"pgo.yaml", processes, fmt.Sprintf("PGO_CFG_SERVICES__%s__BINARY: /backend/%s\n", strings.ToUpper(s.Name), s.Name)},
			{"pgo.yaml", processes, fmt.Sprintf("PGO_CFG_MYSQL__PASSWORD_FILE: /run/secrets/%s_mysql_password\n", s.Name)},
			{"ecosystem.config.js", pm2, fmt.Sprintf("service(%q, %d, ", s.Name, s.Port)},
			{"docker-compose.yml, the runtime's health check", compose, fmt.Sprintf("http://127.0.0.1:%d/readyz", s.Port)},
			{"docker-compose.yml, swagger-ui's URLS", compose, fmt.Sprintf("/services/%s/openapi.json", s.Name)},
		} {
			if !strings.Contains(want.text, want.in) {
				t.Errorf("%s does not contain %q", want.file, want.in)
			}
		}
	}
	native := read("configs", "pgo.yaml")
	for _, name := range checkout.MailVariables() {
		for file, text := range map[string]string{"configs/pgo.yaml": native, "deploy/runtime/configs/pgo.yaml": processes} {
			if in := fmt.Sprintf("      %s: \"${%[1]s:-}\"\n", name); !strings.Contains(text, in) {
				t.Errorf("%s does not contain %q", file, in)
			}
		}
		if in := fmt.Sprintf("      %s: ${%[1]s:-}\n", name); !strings.Contains(compose, in) {
			t.Errorf("docker-compose.yml does not contain %q", in)
		}
	}
}
