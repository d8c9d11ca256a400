package binary

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sort"
	"time"
)

const (
	maxFiles = 10_000
	maxFile  = 4 << 20 // bytes
)

// files is a folder in memory, as far as reading migrations needs one.
type files map[string][]byte

// untar reads an archive of plain files at the top level. Anything else in it is refused: what a binary prints is
// not trusted further than that.
func untar(r io.Reader) (files, error) {
	out := files{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the archive: %w", err)
		}
		switch _, twice := out[h.Name]; {
		case h.Typeflag != tar.TypeReg:
			return nil, fmt.Errorf("archive entry %q is not a plain file", h.Name)
		case !fs.ValidPath(h.Name) || h.Name == "." || path.Base(h.Name) != h.Name:
			return nil, fmt.Errorf("archive entry %q is not at the top level", h.Name)
		case twice:
			return nil, fmt.Errorf("archive entry %q is there twice", h.Name)
		case h.Size > maxFile:
			return nil, fmt.Errorf("archive entry %q has %d bytes, at most %d", h.Name, h.Size, maxFile)
		case len(out) >= maxFiles:
			return nil, fmt.Errorf("the archive has more than %d files", maxFiles)
		}
		text, err := io.ReadAll(io.LimitReader(tr, maxFile))
		if err != nil {
			return nil, fmt.Errorf("read archive entry %q: %w", h.Name, err)
		}
		out[h.Name] = text
	}
}

// Open is only here because fs.FS asks for it: everybody reads whole files.
func (f files) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: errors.ErrUnsupported}
}

// ReadFile implements fs.ReadFileFS.
func (f files) ReadFile(name string) ([]byte, error) {
	text, ok := f[name]
	if !ok {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	return text, nil
}

// ReadDir implements fs.ReadDirFS.
func (f files) ReadDir(string) ([]fs.DirEntry, error) {
	var out []fs.DirEntry
	for name, text := range f {
		out = append(out, fs.FileInfoToDirEntry(info{name, int64(len(text))}))
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name() < out[j].Name() })
	return out, nil
}

type info struct {
	name string
	size int64
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return 0o444 }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return false }
func (i info) Sys() any           { return nil }
