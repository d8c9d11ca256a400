package home

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// reservedSize is the space that is allocated for a ReservedFile at first, in bytes.
const reservedSize = 16 << 10

// ReservedFile is a state file that can be replaced also while the disk is full: the space of its next content is allocated in
// advance, in a second file beside it, and the two change places.
type ReservedFile struct{ Path string }

// Replace replaces the content atomically: a reader finds the old content or the new, with space characters behind it. Where the
// file system cannot do that in reserved space, it does what the function ReplaceFile does.
func (f ReservedFile) Replace(content []byte) error {
	spare := f.Path + ".spare"
	err := fillReserved(spare, content)
	if err == nil {
		err = unix.Renameat2(unix.AT_FDCWD, spare, unix.AT_FDCWD, f.Path, unix.RENAME_EXCHANGE)
	}
	switch {
	case errors.Is(err, unix.ENOENT): // the first time
		if err := os.Rename(spare, f.Path); err != nil {
			return err
		}
		_ = fillReserved(spare, nil) // without it, the next time tries again
		return nil
	case err != nil:
		return errors.Join(ReplaceFile(f.Path, content), os.Remove(spare))
	}
	return nil
}

// fillReserved overwrites a file in the space that it has, or allocates as much as the content and one twice as long need.
func fillReserved(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	if size <= int64(len(content)) || size == 0 {
		size = max(reservedSize, 2*int64(len(content)))
		if err := unix.Fallocate(int(f.Fd()), 0, 0, size); err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
			return fmt.Errorf("reserve %d bytes for %s: %w", size, path, err)
		}
	}
	padded := append(bytes.Clone(content), bytes.Repeat([]byte(" "), int(size)-len(content))...)
	_, err = f.WriteAt(padded, 0)
	return err
}
