package cmd

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"pgo/deploy/pgo/internal/processfile"
)

// newProcessFile returns the path of the process file that a command is to write: --file, else configs/pgo.yaml here. It returns a
// usage error where the file exists.
func newProcessFile(e *env) (string, error) {
	path := cmp.Or(e.file, filepath.Join("configs", "pgo.yaml"))
	if _, err := os.Lstat(path); err == nil {
		return "", usageErrorf("%s exists already: --file names another one", path)
	} else if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("write the process file: %w", err)
	}
	return path, nil
}

// writeProcessFile writes a new process file, if it is valid.
func writeProcessFile(e *env, path string, text []byte) error {
	if _, err := processfile.Parse(path, text, func(key string) (string, bool) { value := e.getenv(key); return value, value != "" }); err != nil {
		return fmt.Errorf("what would be written is not valid, so nothing is: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write the process file: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // env may hold secrets
	if err != nil {
		return fmt.Errorf("write the process file: %w", err)
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write the process file: %w", err)
	}
	return nil
}
