package ship

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Cache keeps programs that were sent, by the SHA-256 of their content, so that the next one can be sent as the
// difference to one of them. A deploy never needs it: its errors are ignored.
type Cache struct {
	Dir      string
	MaxBytes int64 // the least recently used programs go first
}

// DefaultCacheSize holds a few releases of a few services, in bytes.
const DefaultCacheSize = 1 << 30

// DefaultCache returns the cache of the XDG base directory specification, or one that keeps nothing where there is no HOME.
func DefaultCache(getenv func(string) string) Cache {
	base := getenv("XDG_CACHE_HOME")
	if !filepath.IsAbs(base) {
		if base = getenv("HOME"); base == "" {
			return Cache{}
		}
		base = filepath.Join(base, ".cache")
	}
	return Cache{Dir: filepath.Join(base, "pgo", "releases"), MaxBytes: DefaultCacheSize}
}

// findFirst returns the first of the releases that the cache has, with its content, or "" where it has none. It removes
// damaged programs.
func (c Cache) findFirst(sums []string) (sum string, content []byte) {
	for _, sum := range sums {
		if c.Dir == "" {
			return "", nil
		}
		path := filepath.Join(c.Dir, sum)
		content, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if hashContent(content) != sum { // damaged: a difference to it would be useless
			_ = os.Remove(path)
			continue
		}
		now := time.Now()
		_ = os.Chtimes(path, now, now)
		return sum, content
	}
	return "", nil
}

// add stores a program, and removes others over MaxBytes.
func (c Cache) add(sum string, content []byte) error {
	if c.Dir == "" {
		return nil
	}
	path := filepath.Join(c.Dir, sum)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return fmt.Errorf("cache a sent program: %w", err)
	}
	f, err := os.CreateTemp(c.Dir, ".new-*")
	if err != nil {
		return fmt.Errorf("cache a sent program: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // after an error; else it has its final name
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("cache a sent program: %w", err)
	}
	return c.evict(sum)
}

// evict removes the least recently used programs over MaxBytes, but never the added one.
func (c Cache) evict(added string) error {
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return fmt.Errorf("cache a sent program: %w", err)
	}
	var files []os.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil && e.Name() != added {
			files = append(files, info)
		}
	}
	slices.SortFunc(files, func(a, b os.FileInfo) int { return cmp.Compare(b.ModTime().UnixNano(), a.ModTime().UnixNano()) })
	total := int64(0)
	if info, err := os.Stat(filepath.Join(c.Dir, added)); err == nil {
		total = info.Size()
	}
	for _, info := range files {
		if total += info.Size(); total > c.MaxBytes {
			_ = os.Remove(filepath.Join(c.Dir, info.Name())) // the next eviction tries again
		}
	}
	return nil
}

func hashContent(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
