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

// notifier receives inotify events about watched files, so that an idle watcher can poll less often. An event only triggers a
// scan; the scan finds what has changed. If the kernel may not report all changes, watchFiles says so, and files are polled
// more often.
type notifier struct {
	inotify *os.File // nil if the kernel provides none
	changes chan struct{}

	mu    sync.Mutex
	dirs  map[int32]bool  // by watch descriptor
	names map[string]bool // base names of relevant files
}

// watchedEvents are the events of a deployed file. Single writes do not matter: a file is not finished before it is closed.
const watchedEvents = unix.IN_CLOSE_WRITE | unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_ATTRIB | unix.IN_ONLYDIR

func newNotifier() *notifier {
	t := &notifier{changes: make(chan struct{}, 1)}
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err == nil { // else a user has too many, and the watcher only polls
		t.inotify = os.NewFile(uintptr(fd), "inotify")
	}
	return t
}

// watchFiles watches the current directories of these files, and reports whether the kernel will report all changes of them.
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
	all, dirs := true, map[int32]bool{}
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
				dirs[int32(n)] = true
			}
		}
		for n := range t.dirs {
			if !dirs[n] {
				_, _ = unix.InotifyRmWatch(int(fd), uint32(n)) // fails if the directory is gone, which is as good
			}
		}
	})
	t.dirs, t.names = dirs, names
	return all && err == nil
}

// isLocal reports whether all changes in a directory go through this kernel, as far as is known.
func isLocal(dir string) bool {
	var s unix.Statfs_t
	if retryEINTR(func() error { return unix.Statfs(dir, &s) }) != nil {
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

// readEvents signals relevant events until close, at most once in a pause: the directory may be a busy one.
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

// isRelevant reports whether one of the events is about a watched file, or about the watch itself.
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
