// Package binary runs the services' binaries to read their versions, migrations, topologies and specifications.
package binary

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"pgo/pkg/buildinfo"
	"pgo/pkg/migrate"
	"pgo/pkg/mq"
)

// Binary is the program of a service on disk.
type Binary struct {
	Service string
	Path    string
}

// Error reports a binary that is missing, does not run or prints invalid output. Its text names the service and the path.
type Error struct {
	Binary Binary
	Action string
	Err    error
}

func (e *Error) Error() string {
	return fmt.Sprintf("service %s: %s of %s: %v", e.Binary.Service, e.Action, e.Binary.Path, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

const (
	timeout       = 15 * time.Second
	maxJSONSize   = 1 << 20  // bytes, of version and topology
	maxOutputSize = 64 << 20 // bytes, of migrations and specification
)

// ReadVersion reads `version --json`.
func (b Binary) ReadVersion(ctx context.Context) (buildinfo.Info, error) {
	var i buildinfo.Info
	return i, b.readJSON(ctx, &i, "version", "--json")
}

// ReadTopology reads `topology`, the queues that the service consumes.
func (b Binary) ReadTopology(ctx context.Context) (mq.Topology, error) {
	var t mq.Topology
	return t, b.readJSON(ctx, &t, "topology")
}

// ReadMigrations reads `migrations`. For an invalid migration file the *Error wraps a *migrate.SyntaxError.
func (b Binary) ReadMigrations(ctx context.Context) ([]migrate.Migration, error) {
	out, err := b.runCommand(ctx, maxOutputSize, "migrations")
	if err != nil {
		return nil, err
	}
	files, err := untar(bytes.NewReader(out))
	if err != nil {
		return nil, &Error{b, "read the migrations", err}
	}
	ms, err := migrate.Read(files)
	if err != nil {
		return nil, &Error{b, "read the migrations", err}
	}
	return ms, nil
}

// ReadOpenAPI reads `openapi`, the service's specification.
func (b Binary) ReadOpenAPI(ctx context.Context) ([]byte, error) {
	out, err := b.runCommand(ctx, maxOutputSize, "openapi")
	if err != nil {
		return nil, err
	}
	if !json.Valid(out) {
		return nil, &Error{b, "read the specification", errors.New("it is not JSON")}
	}
	return out, nil
}

func (b Binary) readJSON(ctx context.Context, into any, args ...string) error {
	out, err := b.runCommand(ctx, maxJSONSize, args...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, into); err != nil {
		return &Error{b, "`" + strings.Join(args, " ") + "`", fmt.Errorf("read what it prints: %w", err)}
	}
	return nil
}

// runCommand runs the binary and returns its standard output. It does not pass the environment on, which holds secrets.
func (b Binary) runCommand(ctx context.Context, limit int, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	action := "`" + strings.Join(args, " ") + "`"
	for try := 0; ; try++ {
		stdout, stderr := &limitedBuffer{limit: limit, onOverflow: cancel}, &limitedBuffer{limit: 4096}
		cmd := exec.CommandContext(ctx, b.Path, args...)
		cmd.Env = []string{} // nil would inherit the environment
		if path, ok := os.LookupEnv("PATH"); ok {
			cmd.Env = append(cmd.Env, "PATH="+path)
		}
		cmd.Stdout, cmd.Stderr, cmd.WaitDelay = stdout, stderr, time.Second
		err := cmd.Run()
		switch {
		case errors.Is(err, syscall.ETXTBSY) && try < 20: // the file is being written
			select {
			case <-time.After(100 * time.Millisecond):
				continue
			case <-ctx.Done():
			}
		case stdout.overflowed:
			return nil, &Error{b, action, fmt.Errorf("it prints more than %d bytes", limit)}
		case ctx.Err() != nil && err != nil:
			return nil, &Error{b, action, fmt.Errorf("no answer within %s", timeout)}
		case err == nil:
			return stdout.buffer.Bytes(), nil
		}
		if message := strings.TrimSpace(stderr.buffer.String()); message != "" {
			err = fmt.Errorf("%w: %s", err, message)
		}
		return nil, &Error{b, action, err}
	}
}

// limitedBuffer keeps at most limit bytes and drops the rest. It calls onOverflow, unless that is nil, when it drops bytes.
// It does not embed the buffer, whose ReadFrom would ignore the limit.
type limitedBuffer struct {
	buffer     bytes.Buffer
	limit      int
	onOverflow func()
	overflowed bool
}

func (w *limitedBuffer) Write(p []byte) (int, error) {
	free := w.limit - w.buffer.Len()
	if len(p) <= free {
		return w.buffer.Write(p)
	}
	w.overflowed = true
	if w.onOverflow != nil {
		w.onOverflow()
	}
	w.buffer.Write(p[:free])
	return len(p), nil
}
