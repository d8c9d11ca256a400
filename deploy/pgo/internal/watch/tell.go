package watch

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// notifier hears from the kernel that something has happened beside a watched file, so that an idle watcher need not look
// so often. It only ever says when a look is worth it: what has happened is found by looking. Where the kernel may not
// tell of all changes it says so, and the files are looked at more often.
type notifier struct {
	inotify *os.File // nil where the kernel gives none
	changes chan struct{}

	mu    sync.Mutex
	dirs  map[int32]bool  // by the kernel's number
	names map[string]bool // of files that count
}

// What happens to a file that is deployed. Its single writes are of no interest: it is not finished before it is closed.
const watchedEvents = unix.IN_CLOSE_WRITE | unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_ATTRIB | unix.IN_ONLYDIR

func newNotifier() *notifier {
	t := &notifier{changes: make(chan struct{}, 1)}
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err == nil { // else a user has too many: it goes without
		t.inotify = os.NewFile(uintptr(fd), "inotify")
	}
	return t
}

// watchFiles has the kernel tell of these files, wherever their folders are now, and reports whether it will tell of all that
// happens to them.
func (t *notifier) watchFiles(files []*file) bool {
	if t.inotify == nil {
		return false
	}
	paths, names := map[string]bool{}, map[string]bool{}
	for _, f := range files {
		for _, path := range append([]string{f.path}, *f.companions.Load()...) {
			names[filepath.Base(path)] = true
			paths[filepath.Dir(path)] = true
			if to, err := filepath.EvalSymlinks(path); err == nil && to != path {
				names[filepath.Base(to)] = true
				paths[filepath.Dir(to)] = true
			}
		}
	}
	all, folders := true, map[int32]bool{}
	raw, err := t.inotify.SyscallConn()
	if err != nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	err = raw.Control(func(fd uintptr) {
		for path := range paths {
			n, err := unix.InotifyAddWatch(int(fd), path, watchedEvents)
			if err != nil || !isLocal(path) {
				all = false
			}
			if err == nil {
				folders[int32(n)] = true
			}
		}
		for n := range t.dirs {
			if !folders[n] {
				_, _ = unix.InotifyRmWatch(int(fd), uint32(n)) // gone with its folder is as good
			}
		}
	})
	t.dirs, t.names = folders, names
	return all && err == nil
}

// isLocal reports whether everything that changes in a folder goes through this kernel, as far as is known.
func isLocal(folder string) bool {
	var s unix.Statfs_t
	if retryEINTR(func() error { return unix.Statfs(folder, &s) }) != nil {
		return false
	}
	switch uint32(s.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.OVERLAYFS_SUPER_MAGIC,
		unix.F2FS_SUPER_MAGIC, zfsMagic:
		return true
	}
	return false
}

const zfsMagic = 0x2fc12fc1

// readEvents tells of what it hears until close, at most once in a while: a folder may be one in which much happens.
func (t *notifier) readEvents(pause time.Duration) {
	if t.inotify == nil {
		return
	}
	block := make([]byte, 16<<10)
	for {
		n, err := t.inotify.Read(block)
		if err != nil {
			return
		}
		if !t.isRelevant(block[:n]) {
			time.Sleep(pause)
			continue
		}
		select {
		case t.changes <- struct{}{}:
		default:
		}
		time.Sleep(pause)
	}
}

// isRelevant tells whether one of the events is of a file that counts, or of the telling itself.
func (t *notifier) isRelevant(block []byte) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(block) >= unix.SizeofInotifyEvent {
		mask, size := binary.NativeEndian.Uint32(block[4:]), int(binary.NativeEndian.Uint32(block[12:]))
		block = block[unix.SizeofInotifyEvent:]
		if size > len(block) {
			return true
		}
		name, _, _ := bytes.Cut(block[:size], []byte{0})
		block = block[size:]
		if mask&(unix.IN_IGNORED|unix.IN_Q_OVERFLOW|unix.IN_UNMOUNT) != 0 || t.names[string(name)] {
			return true
		}
	}
	return false
}

func (t *notifier) close() {
	if t.inotify != nil {
		t.inotify.Close()
	}
}
