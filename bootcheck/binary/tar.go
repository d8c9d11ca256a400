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
	maxFiles    = 10_000
	maxFileSize = 4 << 20 // bytes
)

// memoryFiles implements the parts of a directory in memory that reading migrations needs.
type memoryFiles map[string][]byte

// untar reads an archive of plain files at the top level. It returns an error for any other entry, since the archive is not
// trusted.
func untar(r io.Reader) (memoryFiles, error) {
	out := memoryFiles{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the archive: %w", err)
		}
		switch _, isDuplicate := out[h.Name]; {
		case h.Typeflag != tar.TypeReg:
			return nil, fmt.Errorf("archive entry %q is not a plain file", h.Name)
		case !fs.ValidPath(h.Name) || h.Name == "." || path.Base(h.Name) != h.Name:
			return nil, fmt.Errorf("archive entry %q is not at the top level", h.Name)
		case isDuplicate:
			return nil, fmt.Errorf("archive entry %q is there twice", h.Name)
		case h.Size > maxFileSize:
			return nil, fmt.Errorf("archive entry %q has %d bytes, at most %d", h.Name, h.Size, maxFileSize)
		case len(out) >= maxFiles:
			return nil, fmt.Errorf("the archive has more than %d files", maxFiles)
		}
		text, err := io.ReadAll(io.LimitReader(tr, maxFileSize))
		if err != nil {
			return nil, fmt.Errorf("read archive entry %q: %w", h.Name, err)
		}
		out[h.Name] = text
	}
}

// Open implements fs.FS. It always fails: callers read whole files with ReadFile.
func (f memoryFiles) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: errors.ErrUnsupported}
}

// ReadFile implements fs.ReadFileFS.
func (f memoryFiles) ReadFile(name string) ([]byte, error) {
	text, ok := f[name]
	if !ok {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	return text, nil
}

// ReadDir implements fs.ReadDirFS.
func (f memoryFiles) ReadDir(string) ([]fs.DirEntry, error) {
	var out []fs.DirEntry
	for name, text := range f {
		out = append(out, fs.FileInfoToDirEntry(fileInfo{name, int64(len(text))}))
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name() < out[j].Name() })
	return out, nil
}

type fileInfo struct {
	name string
	size int64
}

func (i fileInfo) Name() string       { return i.name }
func (i fileInfo) Size() int64        { return i.size }
func (i fileInfo) Mode() fs.FileMode  { return 0o444 }
func (i fileInfo) ModTime() time.Time { return time.Time{} }
func (i fileInfo) IsDir() bool        { return false }
func (i fileInfo) Sys() any           { return nil }
