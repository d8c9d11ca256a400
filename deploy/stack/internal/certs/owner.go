package certs

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// chownLikeDir gives a file the owner of its directory if this program runs as root.
func chownLikeDir(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("read the directory of certificates: %w", err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		if err := os.Lchown(path, int(stat.Uid), int(stat.Gid)); err != nil {
			return fmt.Errorf("change the certificate's owner: %w", err)
		}
	}
	return nil
}
