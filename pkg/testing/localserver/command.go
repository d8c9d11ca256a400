// Package localserver runs private instances of MariaDB or MySQL, Redis and RabbitMQ from the programs that the
// distribution's packages put on the machine: for development (each checkout has its own) and for tests (each test
// run has its own).
//
// An instance is a struct with its directories and its loopback ports. Prepare makes its files and returns
// the command that runs it in the foreground; Prepare may be called before every start. Every listener is on
// 127.0.0.1, and no password is ever in an argument.
package localserver

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// AdminUser is the account with all rights that every instance has, with the password its struct names.
const AdminUser = "pgo_admin"

// An Instance is one private server.
type Instance interface {
	// Prepare makes or repairs the instance's files and returns the command that runs it. It is idempotent,
	// keeps data that is there, and lets the administrator's password follow the struct's. It must not be
	// called while the instance runs.
	Prepare(ctx context.Context) (Command, error)
	// Ready returns nil once the server answers its own protocol, otherwise its answer.
	Ready(ctx context.Context) error
}

// A Command runs a server in the foreground: the process it starts, or becomes, is the server itself.
type Command struct {
	Path string   // absolute
	Args []string // without the program's name
	Env  []string // whole: nothing is inherited
	Dir  string
}

// serverEnviron returns the environment of a server. It holds little of ours, so that a stray MYSQL_HOME, RABBITMQ_* or
// LISTEN_FDS of the user's shell changes nothing.
func serverEnviron(home string, extra ...string) []string {
	env := []string{
		"PATH=" + searchPath(os.Getenv("PATH")),
		"HOME=" + home,
		"LANG=C.UTF-8",
	}
	for _, name := range []string{"TZ", "PGO_HOME"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return append(env, extra...)
}

func makeDirs(dirs ...string) error {
	for _, d := range dirs {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return fmt.Errorf("make directory %s: %w", d, err)
		}
	}
	return nil
}

// writeFile replaces a file atomically. Only its owner may read it.
func writeFile(dir, name, content string) (string, error) {
	path := filepath.Join(dir, name)
	if err := renameio.WriteFile(path, []byte(content), 0o600, renameio.IgnoreUmask()); err != nil {
		return "", fmt.Errorf("write %s: %w", path, err)
	}
	return path, nil
}
