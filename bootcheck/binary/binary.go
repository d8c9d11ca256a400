// Package binary asks the services' binaries what they bring: the very files that are about to run.
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

// Binary is a service's program on disk.
type Binary struct {
	Service string
	Path    string
}

// Error is a binary that is missing, does not run or says what cannot be read. Its text names both.
type Error struct {
	Binary Binary
	Doing  string
	Err    error
}

func (e *Error) Error() string {
	return fmt.Sprintf("service %s: %s of %s: %v", e.Binary.Service, e.Doing, e.Binary.Path, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

const (
	timeout   = 15 * time.Second
	maxSmall  = 1 << 20  // bytes of version and topology
	maxOutput = 64 << 20 // bytes of migrations and specification
)

// Version reads `version --json`.
func (b Binary) Version(ctx context.Context) (buildinfo.Info, error) {
	var i buildinfo.Info
	return i, b.json(ctx, &i, "version", "--json")
}

// Topology reads `topology`: the queues that the service consumes.
func (b Binary) Topology(ctx context.Context) (mq.Topology, error) {
	var t mq.Topology
	return t, b.json(ctx, &t, "topology")
}

// Migrations reads `migrations`. A file in it that is no migration is a *migrate.SyntaxError inside the *Error.
func (b Binary) Migrations(ctx context.Context) ([]migrate.Migration, error) {
	out, err := b.output(ctx, maxOutput, "migrations")
	if err != nil {
		return nil, err
	}
	files, err := untar(bytes.NewReader(out))
	if err != nil {
		return nil, &Error{b, "the migrations", err}
	}
	ms, err := migrate.Read(files)
	if err != nil {
		return nil, &Error{b, "the migrations", err}
	}
	return ms, nil
}

// OpenAPI reads `openapi`: the service's specification.
func (b Binary) OpenAPI(ctx context.Context) ([]byte, error) {
	out, err := b.output(ctx, maxOutput, "openapi")
	if err != nil {
		return nil, err
	}
	if !json.Valid(out) {
		return nil, &Error{b, "the specification", errors.New("it is not JSON")}
	}
	return out, nil
}

func (b Binary) json(ctx context.Context, into any, args ...string) error {
	out, err := b.output(ctx, maxSmall, args...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, into); err != nil {
		return &Error{b, "`" + strings.Join(args, " ") + "`", fmt.Errorf("read what it prints: %w", err)}
	}
	return nil
}

// output runs the binary without our environment, which has secrets, and returns what it prints.
func (b Binary) output(ctx context.Context, limit int, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	doing := "`" + strings.Join(args, " ") + "`"
	for try := 0; ; try++ {
		stdout, stderr := &bounded{limit: limit, full: cancel}, &bounded{limit: 4096}
		cmd := exec.CommandContext(ctx, b.Path, args...)
		cmd.Env = []string{} // not nil, which would be ours
		if path, ok := os.LookupEnv("PATH"); ok {
			cmd.Env = append(cmd.Env, "PATH="+path)
		}
		cmd.Stdout, cmd.Stderr, cmd.WaitDelay = stdout, stderr, time.Second
		err := cmd.Run()
		switch {
		case errors.Is(err, syscall.ETXTBSY) && try < 20: // being written at this moment
			select {
			case <-time.After(100 * time.Millisecond):
				continue
			case <-ctx.Done():
			}
		case stdout.over:
			return nil, &Error{b, doing, fmt.Errorf("it prints more than %d bytes", limit)}
		case ctx.Err() != nil && err != nil:
			return nil, &Error{b, doing, fmt.Errorf("no answer within %s", timeout)}
		case err == nil:
			return stdout.kept.Bytes(), nil
		}
		if said := strings.TrimSpace(stderr.kept.String()); said != "" {
			err = fmt.Errorf("%w: %s", err, said)
		}
		return nil, &Error{b, doing, err}
	}
}

// bounded keeps at most limit bytes and drops the rest. full, when set, is called once there is a rest.
// The buffer is not embedded: its ReadFrom would go past the limit.
type bounded struct {
	kept  bytes.Buffer
	limit int
	full  func()
	over  bool
}

func (w *bounded) Write(p []byte) (int, error) {
	room := w.limit - w.kept.Len()
	if len(p) <= room {
		return w.kept.Write(p)
	}
	w.over = true
	if w.full != nil {
		w.full()
	}
	w.kept.Write(p[:room])
	return len(p), nil
}
