package logfile

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Rotated files are in a directory beside the logs: old/NAME.TIME.log, or .log.gz.
const (
	rotatedDir        = "old"
	rotatedTimeFormat = "20060102T150405.000000000Z"
)

// Policy defines when a log is rotated and how long rotated files are kept.
type Policy struct {
	MaxSize  int64
	MaxAge   time.Duration // 0: not by age
	Keep     int
	KeepFor  time.Duration
	Compress bool
}

// RotatedFile is one rotated file of a log.
type RotatedFile struct {
	Path       string
	RotatedAt  time.Time
	Compressed bool
}

// ListNames returns the names of the logs in a directory, in order. A log that is being rotated has no current file for a
// moment, so that the rotated files count as well. A missing directory has none.
func ListNames(dir string) ([]string, error) {
	var names []string
	for _, in := range []string{dir, filepath.Join(dir, rotatedDir)} {
		entries, err := os.ReadDir(in)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("look for logs: %w", err)
		}
		for _, e := range entries {
			name, ok := strings.CutSuffix(e.Name(), ".log")
			if in != dir {
				name, _, ok = parseRotatedName(e.Name())
			}
			if ok {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// parseRotatedName returns the name of the log that a rotated file belongs to. ok is false for other files.
func parseRotatedName(file string) (name string, rotated RotatedFile, ok bool) {
	rest, isCompressed := strings.CutSuffix(file, ".gz")
	rest, ok = strings.CutSuffix(rest, ".log")
	dot := len(rest) - len(rotatedTimeFormat) - 1
	if !ok || dot < 1 || rest[dot] != '.' {
		return "", RotatedFile{}, false
	}
	at, err := time.Parse(rotatedTimeFormat, rest[dot+1:])
	return rest[:dot], RotatedFile{RotatedAt: at, Compressed: isCompressed}, err == nil
}

// ListRotated returns the rotated files of a log, oldest first.
func ListRotated(path string) []RotatedFile {
	dir := filepath.Join(filepath.Dir(path), rotatedDir)
	entries, _ := os.ReadDir(dir) // a missing directory is as good
	var all []RotatedFile
	for _, e := range entries {
		if name, rotated, ok := parseRotatedName(e.Name()); ok && name == strings.TrimSuffix(filepath.Base(path), ".log") {
			rotated.Path = filepath.Join(dir, e.Name())
			all = append(all, rotated)
		}
	}
	// Stable: if a file is compressed and not yet removed, the uncompressed one stays.
	slices.SortStableFunc(all, func(a, b RotatedFile) int { return a.RotatedAt.Compare(b.RotatedAt) })
	return slices.CompactFunc(all, func(a, b RotatedFile) bool { return a.RotatedAt.Equal(b.RotatedAt) })
}

// pruneRotated compresses rotated files, except the newest so that followers find it, and removes those beyond the policy.
func pruneRotated(path string, p Policy) {
	all := ListRotated(path)
	for i, old := range all {
		switch {
		case len(all)-i > p.Keep, p.KeepFor > 0 && time.Since(old.RotatedAt) > p.KeepFor:
			_ = os.Remove(old.Path) // tried again at the next rotation
		case p.Compress && !old.Compressed && i < len(all)-1:
			_ = compressFile(old.Path)
		}
	}
}

// compressFile compresses a file, unless another process does. An unfinished attempt is repeated.
func compressFile(path string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	if unix.Flock(int(in.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return nil
	}
	if _, err := os.Lstat(path); err != nil {
		return nil // another process was faster
	}
	half := path + ".gz.half"
	out, err := os.OpenFile(half, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	z := gzip.NewWriter(out)
	_, err = io.Copy(z, in)
	if err := errors.Join(err, z.Close(), out.Close()); err != nil {
		_ = os.Remove(half)
		return err
	}
	if err := os.Rename(half, path+".gz"); err != nil {
		return err
	}
	return os.Remove(path)
}
