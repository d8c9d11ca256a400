package web

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"pgo/bootcheck/binary"
)

// specs caches specifications and reads them again when a binary has changed.
type specs struct {
	mu        sync.Mutex // held while a binary runs, so that concurrent readers run it once
	byService map[string]*cachedSpec
}

type cachedSpec struct {
	binary  binary.Binary
	size    int64
	modTime time.Time
	text    []byte
}

func newSpecs(bs []binary.Binary) *specs {
	s := &specs{byService: map[string]*cachedSpec{}}
	for _, b := range bs {
		s.byService[b.Service] = &cachedSpec{binary: b}
	}
	return s
}

// read returns the specification of a known service.
func (s *specs) read(ctx context.Context, service string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.byService[service]
	info, err := os.Stat(c.binary.Path)
	if err != nil {
		return nil, fmt.Errorf("specification of %s: %w", service, err)
	}
	if c.text != nil && info.Size() == c.size && info.ModTime().Equal(c.modTime) {
		return c.text, nil
	}
	text, err := c.binary.ReadOpenAPI(ctx)
	if err != nil {
		return nil, err
	}
	c.text, c.size, c.modTime = text, info.Size(), info.ModTime()
	return text, nil
}
