package ship

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Cache keeps programs that were sent, by the SHA-256 of their content, so that the next one can be sent as the
// difference to one of them. It is a help, never needed: what goes wrong with it is not told.
type Cache struct {
	Dir      string
	MaxBytes int64 // bytes; what was used least lately goes first
}

// DefaultCacheSize is a few releases of a few services.
const DefaultCacheSize = 1 << 30

// DefaultCache is where XDG wants it.
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

// findFirst returns the first of the releases that the cache has, with its content; nothing where it has none.
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
		if hashContent(content) != sum { // damaged: it would spoil what is made of it
			_ = os.Remove(path)
			continue
		}
		now := time.Now()
		_ = os.Chtimes(path, now, now)
		return sum, content
	}
	return "", nil
}

// add adds a program, and removes what is too much.
func (c Cache) add(sum string, content []byte) error {
	if c.Dir == "" {
		return nil
	}
	path := filepath.Join(c.Dir, sum)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return fmt.Errorf("keep what was sent: %w", err)
	}
	f, err := os.CreateTemp(c.Dir, ".new-*")
	if err != nil {
		return fmt.Errorf("keep what was sent: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // it has its name by then, unless something failed
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("keep what was sent: %w", err)
	}
	return c.evict(sum)
}

func (c Cache) evict(added string) error {
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return fmt.Errorf("keep what was sent: %w", err)
	}
	var all []os.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil && e.Name() != added {
			all = append(all, info)
		}
	}
	slices.SortFunc(all, func(a, b os.FileInfo) int { return cmp.Compare(b.ModTime().UnixNano(), a.ModTime().UnixNano()) })
	held := int64(0)
	if info, err := os.Stat(filepath.Join(c.Dir, added)); err == nil {
		held = info.Size()
	}
	for _, info := range all {
		if held += info.Size(); held > c.MaxBytes {
			_ = os.Remove(filepath.Join(c.Dir, info.Name())) // the next one tries again
		}
	}
	return nil
}
