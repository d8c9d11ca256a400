package compose

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgo/deploy/stack/internal/checkout"
)

// The docker program is a script that prints an engine's error.
func TestCheckEngineReportsProblemAndRemedy(t *testing.T) {
	tests := []struct {
		name, script string
		says         []string // nil: the engine answers
	}{
		{"it answers", `exit 0`, nil},
		{"no program", "", []string{"there is no docker program", "docs.docker.com"}},
		{"access denied", `echo 'permission denied while trying to connect to the Docker daemon socket' >&2; exit 1`, []string{"denies you access", "usermod -aG docker"}},
		{"no engine", `echo 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock.' >&2; exit 1`, []string{"no Docker engine answers", "systemctl start docker"}},
		{"no Compose", `[ "$1" = compose ] || exit 0; echo "docker: 'compose' is not a docker command." >&2; exit 1`, []string{"no Compose plugin", "docker-compose-plugin"}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			fakeDocker(t, tc.script)
			err := CheckEngine(context.Background())
			assertSays(t, err, tc.says)
		})
	}
}

func TestMissingImages(t *testing.T) {
	const registry = `Error response from daemon: Get "https://registry-1.docker.io/v2/": dial tcp: no route to host`
	tests := []struct {
		name, script string
		says         []string
	}{
		{"all exist", `case "$*" in *"config --images"*) echo mysql:8.4; echo pgo/runtime:dev;; esac; exit 0`, nil},
		{"one cannot be pulled", `case "$*" in *"config --images"*) echo mysql:8.4;; "image inspect"*) exit 1;; pull*) echo '` + registry + `' >&2; exit 1;; esac`,
			[]string{"cannot pull the image mysql:8.4", "no route to host", "registry-mirrors"}},
		{"the runtime's base cannot be pulled", `case "$*" in *"config --images"*) echo pgo/runtime:dev;; *build*) echo '` + registry + `' >&2; exit 1;; esac`,
			[]string{"the runtime image cannot be built", "no route to host", "deploy/runtime/Dockerfile"}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			fakeDocker(t, tc.script)
			s := Stack{Checkout: checkout.Checkout{Root: t.TempDir(), Home: t.TempDir()}, Getenv: os.Getenv, Out: t.Output(), Err: t.Output()}
			assertSays(t, s.ensureImages(context.Background()), tc.says)
		})
	}
}

func assertSays(t *testing.T, err error, says []string) {
	t.Helper()
	if len(says) == 0 {
		if err != nil {
			t.Errorf("error %v", err)
		}
		return
	}
	if _, ok := errors.AsType[*EngineError](err); !ok {
		t.Fatalf("error %v", err)
	}
	for _, want := range append(says, "make up MODE=native") {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

// fakeDocker replaces docker by a script, or by nothing.
func fakeDocker(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if script == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}
