package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestBadSettings(t *testing.T) {
	tests := []struct {
		name string
		env  map[string]string
		args []string
		code int
		says string
	}{
		{"an address without a port", map[string]string{"WECOM_HTTP": "localhost"}, nil, 78, "WECOM_HTTP: "},
		{"a URL with a key in it", map[string]string{"WECOM_URL": "https://x.test/send?key=1"}, nil, 78, "WECOM_URL: "},
		{"a language nobody wrote", map[string]string{"WECOM_LANG": "fr"}, nil, 78, `"fr" is neither zh nor en`},
		{"a time-out without a unit", map[string]string{"WECOM_TIMEOUT": "5"}, nil, 78, "WECOM_TIMEOUT: "},
		{"a timeout of zero", map[string]string{"WECOM_PATIENCE": "0s"}, nil, 78, "WECOM_PATIENCE: "},
		{"arguments", nil, []string{"serve"}, 64, "takes no arguments"},
		{"help", nil, []string{"--help"}, 0, "WECOM_KEY_FILE"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			code := run(context.Background(), tc.args, func(k string) string { return tc.env[k] }, &out, &out)
			if code != tc.code || !strings.Contains(out.String(), tc.says) {
				t.Errorf("exit code %d, %q, want %d and %q", code, out.String(), tc.code, tc.says)
			}
		})
	}
}

func TestServesUntilItIsTold(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	out, in := io.Pipe()
	code := make(chan int)
	go func() {
		code <- run(ctx, nil, func(k string) string { return map[string]string{"WECOM_HTTP": "127.0.0.1:0"}[k] }, in, in)
	}()
	line := make([]byte, 4096)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	_, rest, _ := strings.Cut(string(line[:n]), `"addr":"`)
	addr, _, _ := strings.Cut(rest, `"`)
	for path, want := range map[string]string{"/livez": "ok", "/metrics": `pgo_wecom_messages_lost_total{reason="too_long"} 0`} {
		resp, err := http.Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%s says %q, %v, want %q", path, body, err, want)
		}
	}
	stop()
	select {
	case got := <-code:
		if got != 0 {
			t.Errorf("exit code %d", got)
		}
	case <-time.After(10 * time.Second):
		t.Error("does not end")
	}
}
