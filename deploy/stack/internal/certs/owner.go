package certs

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// chownLikeDir gives a file to whom its folder belongs to. Only root can, and only root has to.
func chownLikeDir(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("look at the folder of certificates: %w", err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		if err := os.Lchown(path, int(stat.Uid), int(stat.Gid)); err != nil {
			return fmt.Errorf("hand the certificate over: %w", err)
		}
	}
	return nil
}
