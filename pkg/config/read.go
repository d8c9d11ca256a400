package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// Sizes in bytes beyond which a file is refused.
const (
	maxLayer  = 1 << 20
	maxSecret = 64 << 10
)

// ReadSecretFile returns the secret in a file, without a byte order mark and the line ends behind it. It never waits: a pipe, a
// device and a file of more than 64 KiB are refused.
func ReadSecretFile(path string) (string, error) {
	text, err := readFile(path, maxSecret)
	if err != nil {
		return "", err
	}
	return strings.TrimRight(strings.TrimPrefix(string(text), "\ufeff"), "\r\n"), nil
}

// readFile reads a regular file of at most limit bytes.
func readFile(path string, limit int) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // without the flag, opening a pipe waits for its writer
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errors.New("it is a directory")
	case !info.Mode().IsRegular():
		return nil, errors.New("it is not a regular file")
	}
	text, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err == nil && len(text) > limit {
		err = fmt.Errorf("it has more than %d bytes", limit)
	}
	return text, err
}
