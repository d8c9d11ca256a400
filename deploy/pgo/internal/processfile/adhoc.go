package processfile

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"strings"
)

// NewProcess returns a service that no process file has, with the defaults of one. Its paths are relative to dir, which it runs in.
func NewProcess(name, command string, args []string, dir string, env map[string]string) (Process, error) {
	p := Process{Command: command, Args: args, Dir: dir}
	if err := p.setName(name); err != nil {
		if invalid, ok := errors.AsType[*keyError](err); ok {
			err = errors.New(invalid.text)
		}
		return Process{}, fmt.Errorf("%q cannot be the name of a process: %w", name, err)
	}
	p.Defaults()
	p.resolve(dir, maps.Clone(env))
	return p, nil
}

// nameBreak matches what a process's name cannot have.
var nameBreak = regexp.MustCompile(`[^a-z0-9_-]+`)

// MakeName returns a name for a process out of any text, such as the path of its program.
func MakeName(text string) string {
	base := strings.ToLower(filepath.Base(text))
	name := strings.Trim(nameBreak.ReplaceAllString(strings.TrimSuffix(base, filepath.Ext(base)), "-"), "-_")
	name = strings.TrimLeft(name, "0123456789-_")
	if len(name) > 32 {
		name = strings.TrimRight(name[:32], "-_")
	}
	if name == "" || name == "all" || name == OwnerPgo {
		return "app"
	}
	return name
}
