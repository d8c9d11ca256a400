package rollout

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// stagedPrefix begins the names of staged files, before the name of the deployed file.
const stagedPrefix = ".pgo-"

// StagedFile is a copy of a program beside the deployed file: to deploy it is a rename. The zero value stands for none.
type StagedFile struct {
	Path string        `json:"path"`
	To   string        `json:"to"`
	was  *fileIdentity // of the deployed file, when it was staged
}

type fileIdentity struct {
	inode             uint64
	size              int64
	modified, changed syscall.Timespec
}

func identifyFile(path string) *fileIdentity {
	var s syscall.Stat_t
	if syscall.Stat(path, &s) != nil {
		return nil
	}
	return &fileIdentity{s.Ino, s.Size, s.Mtim, s.Ctim}
}

// StagedAt returns the staged file of a rollout, whether it is there or not. Without an id it is that of any rollout.
func StagedAt(deployed, id string) StagedFile {
	name := stagedPrefix + filepath.Base(deployed)
	if id != "" {
		name += "-" + strings.Map(keepAlphanumeric, id)
	}
	return StagedFile{Path: filepath.Join(filepath.Dir(deployed), name), To: deployed}
}

// Stage copies a program beside the deployed file. It removes what an earlier rollout has left there. On an error there
// is no copy.
func Stage(deployed, program, id string) (StagedFile, error) {
	s := StagedAt(deployed, id)
	s.was = identifyFile(deployed)
	in, err := os.Open(program)
	if err != nil {
		return StagedFile{}, fmt.Errorf("copy a release to where it is deployed: %w", err)
	}
	defer in.Close()
	if old, err := filepath.Glob(filepath.Join(filepath.Dir(deployed), stagedPrefix+filepath.Base(deployed)+"-*")); err == nil {
		for _, path := range old {
			_ = os.Remove(path)
		}
	}
	_ = os.Remove(s.Path)
	out, err := os.OpenFile(s.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return StagedFile{}, fmt.Errorf("copy a release to where it is deployed: %w", err)
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		_ = os.Remove(s.Path)
		return StagedFile{}, fmt.Errorf("copy a release to where it is deployed: %w", err)
	}
	return s, nil
}

func keepAlphanumeric(r rune) rune {
	if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '-' {
		return r
	}
	return -1
}

// Place renames the copy to the deployed file, in one step. A file that someone else has deployed meanwhile stays, and the
// copy is removed: the watch handles that file as it would at any time.
func (s StagedFile) Place() error {
	if s.Path == "" {
		return nil
	}
	if now := identifyFile(s.To); s.was != nil && now != nil && *now != *s.was {
		s.Remove()
		return nil
	}
	if err := os.Rename(s.Path, s.To); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("put a release to where it is deployed: %w", err)
	}
	return nil
}

// Remove removes the copy.
func (s StagedFile) Remove() {
	if s.Path != "" {
		_ = os.Remove(s.Path)
	}
}
