// Package logging creates a program's logger: JSON, one line an event, on a given writer.
package logging

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"pgo/pkg/config"
)

// Config sets how much is logged.
type Config struct {
	Level string `config:"level"` // debug, info, warn or error
}

// Validate checks the section at key.
func (cfg Config) Validate(c *config.Check, key string) {
	c.Expect(slices.Contains([]string{"debug", "info", "warn", "error"}, cfg.Level), key+".level", "debug, info, warn or error")
}

// Identity appears on every line.
type Identity struct {
	Service, Instance, Version string
}

// InstanceName returns the process's name among those of its service: the process manager's PGO_INSTANCE, otherwise the
// process id.
func InstanceName(environ []string) string {
	for _, kv := range environ {
		if v, ok := strings.CutPrefix(kv, "PGO_INSTANCE="); ok && v != "" {
			return v
		}
	}
	return strconv.Itoa(os.Getpid())
}

// Logger is a zap logger whose level can change while it runs.
type Logger struct {
	*zap.Logger
	level zap.AtomicLevel
}

// New returns a logger that writes the fields ts, level, msg and those of id to w, then the event's own. It masks the values
// of fields that look like a credential or an e-mail address, and serialises the writes to w.
func New(w io.Writer, cfg Config, id Identity) (*Logger, error) {
	level, err := zap.ParseAtomicLevel(cfg.Level)
	if err != nil {
		return nil, fmt.Errorf("log level: %w", err)
	}
	enc := zap.NewProductionEncoderConfig()
	enc.TimeKey = "ts"
	enc.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	enc.EncodeDuration = zapcore.SecondsDurationEncoder
	core := &maskingCore{zapcore.NewCore(zapcore.NewJSONEncoder(enc), zapcore.Lock(zapcore.AddSync(w)), level)}
	l := zap.New(core, zap.AddStacktrace(zapcore.DPanicLevel)).With(
		zap.String("service", id.Service), zap.String("instance", id.Instance), zap.String("version", id.Version))
	return &Logger{Logger: l, level: level}, nil
}

// SetLevel changes the level of this logger and of all that are derived from it.
func (l *Logger) SetLevel(name string) error { return l.level.UnmarshalText([]byte(name)) }

// ApplyConfig sets the level of a reloaded configuration. An invalid level is logged and changes nothing.
func (l *Logger) ApplyConfig(cfg Config) {
	if err := l.SetLevel(cfg.Level); err != nil {
		l.Warn("log level", zap.Error(err))
	}
}

// maxLevelBody bounds the body of a request that sets the level.
const maxLevelBody = 1 << 10

// LevelHandler returns the level to GET and sets it at PUT, as {"level":"debug"} of any content type, or as the form level=debug.
func (l *Logger) LevelHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxLevelBody))
		if err != nil {
			http.Error(w, "the body is too long", http.StatusRequestEntityTooLarge)
			return
		}
		// curl -d names JSON a form.
		if bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
			r.Header.Set("Content-Type", "application/json")
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		l.level.ServeHTTP(w, r)
	})
}

type contextKey struct{}

// WithLogger returns a context that carries l: a request's logger, with its request id and trace id.
func WithLogger(ctx context.Context, l *zap.Logger) context.Context {
	return context.WithValue(ctx, contextKey{}, l)
}

// FromContext returns the context's logger, or fallback.
func FromContext(ctx context.Context, fallback *zap.Logger) *zap.Logger {
	if l, ok := ctx.Value(contextKey{}).(*zap.Logger); ok {
		return l
	}
	return fallback
}
