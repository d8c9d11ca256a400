package logging_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/zap"

	"pgo/pkg/logging"
)

func newLogger(t *testing.T, level string) (*logging.Logger, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	l, err := logging.New(&out, logging.Config{Level: level}, logging.Identity{Service: "user", Instance: "1", Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	return l, &out
}

func TestLinesAreJSONWithTheIdentity(t *testing.T) {
	l, out := newLogger(t, "info")
	l.Info("hello", zap.Int("n", 3))
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	for key, want := range map[string]any{"level": "info", "msg": "hello", "service": "user", "instance": "1", "version": "v1", "n": 3.0} {
		if line[key] != want {
			t.Errorf("%s is %v, want %v", key, line[key], want)
		}
	}
	if ts, _ := line["ts"].(string); !strings.Contains(ts, "T") {
		t.Errorf("ts is %q, want RFC 3339", ts)
	}
}

func TestSecretsAreMasked(t *testing.T) {
	for _, tc := range []struct {
		name   string
		log    func(*zap.Logger)
		hidden string
	}{
		{"password field", func(l *zap.Logger) { l.Info("x", zap.String("new_password", "s3cr3t")) }, "s3cr3t"},
		{"token bytes", func(l *zap.Logger) { l.Info("x", zap.ByteString("refresh_token", []byte("s3cr3t"))) }, "s3cr3t"},
		{"With", func(l *zap.Logger) { l.With(zap.String("authorization", "s3cr3t")).Info("x") }, "s3cr3t"},
		{"e-mail in the message", func(l *zap.Logger) { l.Info("mail to jo@example.org failed") }, "example.org"},
		{"e-mail in an error", func(l *zap.Logger) { l.Error("x", zap.Error(errors.New("Duplicate entry 'jo@example.org' for key"))) }, "jo@"},
		{"address with a password", func(l *zap.Logger) { l.Info("dial amqp://user:s3cr3t@127.0.0.1:5672/pgo") }, "s3cr3t"},
		{"bearer", func(l *zap.Logger) { l.Info("header Authorization: Bearer abc.def") }, "abc.def"},
		{"JWT", func(l *zap.Logger) { l.Info("got eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.") }, "eyJzdWIi"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, out := newLogger(t, "info")
			tc.log(l.Logger)
			if strings.Contains(out.String(), tc.hidden) || !strings.Contains(out.String(), logging.Mask) {
				t.Errorf("not masked: %s", out)
			}
		})
	}
	t.Run("an ordinary error stays readable", func(t *testing.T) {
		l, out := newLogger(t, "info")
		l.Error("x", zap.Error(errors.New("dial tcp 127.0.0.1:3306: connection refused")))
		if !strings.Contains(out.String(), "dial tcp 127.0.0.1:3306: connection refused") {
			t.Errorf("changed: %s", out)
		}
	})
}

func TestLevelChangesWhileRunning(t *testing.T) {
	l, out := newLogger(t, "info")
	child := l.With(zap.String("a", "b"))
	child.Debug("hidden")
	res := httptest.NewRecorder()
	l.LevelHandler().ServeHTTP(res, httptest.NewRequest(http.MethodPut, "/", strings.NewReader(`{"level":"debug"}`)))
	if res.Code != http.StatusOK {
		t.Fatalf("PUT answers %d", res.Code)
	}
	child.Debug("shown")
	if s := out.String(); strings.Contains(s, "hidden") || !strings.Contains(s, "shown") {
		t.Errorf("got %s", s)
	}
	if err := l.SetLevel("nonsense"); err == nil {
		t.Error("an unknown level was taken")
	}
	if _, err := logging.New(out, logging.Config{Level: "loud"}, logging.Identity{}); err == nil {
		t.Error("New takes an unknown level")
	}
}

func TestLevelIsSetByAnyContentType(t *testing.T) {
	const form = "application/x-www-form-urlencoded" // as curl -d sends it
	for _, tc := range []struct {
		name, contentType, body string
		status                  int
	}{
		{"JSON", "application/json", `{"level":"debug"}`, http.StatusOK},
		{"JSON that is named a form", form, ` {"level":"debug"}`, http.StatusOK},
		{"JSON without a name", "", `{"level":"debug"}`, http.StatusOK},
		{"a form", form, "level=debug", http.StatusOK},
		{"an unknown level", form, `{"level":"loud"}`, http.StatusBadRequest},
		{"nothing", form, "", http.StatusBadRequest},
		{"too long", form, "level=" + strings.Repeat("d", 2000), http.StatusRequestEntityTooLarge},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, _ := newLogger(t, "info")
			req := httptest.NewRequest(http.MethodPut, "/", strings.NewReader(tc.body))
			req.Header.Set("Content-Type", tc.contentType)
			res := httptest.NewRecorder()
			l.LevelHandler().ServeHTTP(res, req)
			if got := l.Core().Enabled(zap.DebugLevel); res.Code != tc.status || got != (tc.status == http.StatusOK) {
				t.Errorf("status %d, debug is on: %v", res.Code, got)
			}
		})
	}
}

func TestContextCarriesTheLogger(t *testing.T) {
	l, out := newLogger(t, "info")
	ctx := logging.WithLogger(context.Background(), l.With(zap.String("request_id", "r1")))
	logging.FromContext(ctx, zap.NewNop()).Info("x")
	logging.FromContext(context.Background(), zap.NewNop()).Info("y")
	if s := out.String(); !strings.Contains(s, "r1") || strings.Contains(s, `"y"`) {
		t.Errorf("got %s", s)
	}
}

func TestInstanceName(t *testing.T) {
	for _, tc := range []struct {
		name    string
		environ []string
		want    string
	}{
		{"the manager's", []string{"A=b", "PGO_INSTANCE=2"}, "2"},
		{"none", []string{"PGO_INSTANCES=2"}, strconv.Itoa(os.Getpid())},
		{"empty", []string{"PGO_INSTANCE="}, strconv.Itoa(os.Getpid())},
	} {
		if got := logging.InstanceName(tc.environ); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}
