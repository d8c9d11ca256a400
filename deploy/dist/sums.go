package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// writeSums writes SHA256SUMS, which sha256sum -c reads.
func (d dist) writeSums(made *buildLog) error {
	var text strings.Builder
	for _, path := range slices.Sorted(maps.Keys(made.paths)) {
		sum, err := sha256File(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(d.outputPath(), path)
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "%s  %s\n", sum, filepath.ToSlash(name))
	}
	return os.WriteFile(d.outputPath("SHA256SUMS"), []byte(text.String()), 0o644)
}

func sha256File(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
