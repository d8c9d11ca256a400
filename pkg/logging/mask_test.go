package logging_test

import (
	"io"
	"testing"

	"go.uber.org/zap"

	"pgo/pkg/logging"
)

// BenchmarkRequest measures the line of a request: its logger and the line.
func BenchmarkRequest(b *testing.B) {
	l, err := logging.New(io.Discard, logging.Config{Level: "info"}, logging.Identity{Service: "user", Instance: "1", Version: "v1"})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		log := l.With(zap.String("request_id", "0199a0c5-7d52-7c3e-9a55-0f6f1f6a2b11"), zap.String("trace_id", "0102030405060708090a0b0c0d0e0f10"), zap.String("span_id", "0102030405060708"))
		log.Info("request", zap.String("method", "GET"), zap.String("route", "/api/v1/users/me"), zap.Int("status", 200), zap.Float64("duration", 0.001), zap.Int("bytes", 312),
			zap.String("user_id", "0199a0c5-7d52-7c3e-9a55-0f6f1f6a2b11"))
	}
}
