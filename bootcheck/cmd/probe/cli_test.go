package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestProbe(t *testing.T) {
	good := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/unready":
			http.Error(w, "MySQL is unavailable", http.StatusServiceUnavailable)
		case "/elsewhere":
			http.Redirect(w, r, "/", http.StatusFound)
		}
	}))
	t.Cleanup(good.Close)
	addr := strings.TrimPrefix(good.URL, "http://")
	silent := listenSilently(t)
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		args []string
		code int
		want string
	}{
		{"nothing", nil, 64, "usage"},
		{"an unknown kind", []string{"ftp"}, 64, `"ftp"`},
		{"no address", []string{"tcp"}, 64, "at least one"},
		{"a login without a password", []string{"mysql", "--addr", addr}, 64, "password"},
		{"RabbitMQ without its API", []string{"rabbitmq", "--addr", addr, "--password-file", password}, 64, "usage"},
		{"it answers", []string{"http", good.URL}, 0, ""},
		{"one of two does not", []string{"http", good.URL, good.URL + "/unready"}, 1, "/unready: it answers 503 Service Unavailable: MySQL is unavailable"},
		{"a redirect is an error", []string{"http", good.URL + "/elsewhere"}, 1, "302"},
		{"it accepts connections", []string{"tcp", addr}, 0, ""},
		{"it accepts none", []string{"tcp", "127.0.0.1:1"}, 1, "connection refused"},
		{"no MySQL", []string{"mysql", "--addr", "127.0.0.1:1", "--password-file", password}, 1, "connection refused"},
		{"Redis that never answers", []string{"redis", "--addr", silent, "--password-file", password}, 1, "no answer"},
		{"no RabbitMQ", []string{"rabbitmq", "--addr", "127.0.0.1:1", "--api", "http://127.0.0.1:1", "--password-file", password}, 1, "connection refused"},
		{"no such secret", []string{"mysql", "--addr", addr, "--password-file", "/nowhere"}, 1, "/nowhere"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			err := run(ctx, tc.args, t.Output())
			if code := exitCode(err); code != tc.code || (err != nil && !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("exit code %d, %v, want %d and %q", code, err, tc.code, tc.want)
			}
		})
	}
}

func TestScan(t *testing.T) {
	if testing.Short() {
		t.Skip("scans all ports")
	}
	_, port, err := net.SplitHostPort(listenSilently(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), scanTimeout)
	defer cancel()
	var out bytes.Buffer
	if err := run(ctx, []string{"scan", "127.0.0.1"}, &out); err != nil || !slices.Contains(strings.Fields(out.String()), port) {
		t.Errorf("found %s, %v, want %s among them", out.String(), err, port)
	}
}

// listenSilently accepts connections and never writes to them.
func listenSilently(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}
