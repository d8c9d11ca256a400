package cache_test

import (
	"testing"

	"go.uber.org/zap"

	"pgo/pkg/cache"
)

func TestMain(m *testing.M) {
	cache.SetLibraryLogger(zap.NewNop()) // the library prints to stderr what the tests bring about
	m.Run()
}
