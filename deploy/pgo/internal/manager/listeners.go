package manager

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/keeper"
	"pgo/deploy/pgo/internal/proc"
	"pgo/deploy/pgo/internal/processfile"
)

// listeners are the sockets that processes of a name share, by the key under which the keeper holds them. They stay
// open as long as the process file has them, so connections wait in the backlog while a process is away.
type listeners map[string]listener

// listener is kept as a bare descriptor: os.File would clear O_NONBLOCK, which the processes that share it rely on.
type listener struct {
	key  string
	fd   int
	addr string // with the port that was chosen
}

// shareable is the key of a shared listener. Those with a port of their own are known by address, so that they may
// move from one process to another; those on a free port belong to their process.
func shareable(process string, l processfile.Listener) string {
	if strings.HasSuffix(l.Addr, ":0") {
		return listenKey + process + "/" + l.Name
	}
	return listenKey + l.Addr
}

// takeOver has the listeners that the keeper holds.
func takeOver(fds map[string]int) listeners {
	ls := listeners{}
	for key, fd := range fds {
		if strings.HasPrefix(key, listenKey) {
			ls[key] = listener{key: key, fd: fd, addr: localAddr(fd)}
		}
	}
	return ls
}

// with returns the listeners that the file asks for: those that are open, and new ones. On an error nothing has
// changed. Those that are no more asked for stay open until the caller drops them.
func (ls listeners) with(f processfile.File, link *keeper.Link) (listeners, error) {
	next := listeners{}
	err := f.EachListener(func(owner string, l processfile.Listener) error {
		if l.PerInstance {
			return nil
		}
		key := shareable(owner, l)
		open, ok := ls[key]
		if !ok {
			var err error
			if open, err = listen(l.Addr, key, link); err != nil {
				next.drop(ls, link)
				if owner == processfile.OwnerPgo {
					return fmt.Errorf(`pgo's own http: %w, or have http in the process file say another address, or "" for none`, err)
				}
				return fmt.Errorf("%s: listener %s: %w", owner, l.Name, err)
			}
		}
		next[key] = open
		return nil
	})
	if err != nil {
		return nil, err
	}
	return next, nil
}

// drop closes those that are not in keep.
func (ls listeners) drop(keep listeners, link *keeper.Link) {
	var keys []string
	for key, l := range ls {
		if _, kept := keep[key]; !kept {
			_ = unix.Close(l.fd)
			keys = append(keys, key)
		}
	}
	link.DropDescriptors(keys...)
}

// inherited are the shared listeners that a process gets, by name.
func (ls listeners) inherited(spec processfile.Process) map[string]listener {
	mine := map[string]listener{}
	for _, l := range spec.Listeners {
		if !l.PerInstance {
			mine[l.Name] = ls[shareable(spec.Name, l)]
		}
	}
	return mine
}

// listen opens a listener and has the keeper hold it.
func listen(addr, key string, link *keeper.Link) (listener, error) {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return listener{}, inUse(addr)
	}
	if err != nil {
		return listener{}, err
	}
	defer l.Close() // the copy listens on
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		return listener{}, fmt.Errorf("keep the listener: %w", err)
	}
	fd := -1
	var failed error
	if err := raw.Control(func(original uintptr) {
		fd, failed = unix.FcntlInt(original, unix.F_DUPFD_CLOEXEC, 0)
	}); err != nil {
		failed = err
	}
	if failed == nil {
		failed = link.HoldDescriptor(key, fd)
	}
	if failed != nil {
		return listener{}, fmt.Errorf("keep the listener: %w", failed)
	}
	return listener{key: key, fd: fd, addr: l.Addr().String()}, nil
}

// unblock makes sure that an Accept on a shared listener waits in its process, not in the kernel: a process that takes
// an inherited listener may have changed that for all (golang/go#43894).
func unblock(ls map[string]listener) {
	for l := range maps.Values(ls) {
		_ = unix.SetNonblock(l.fd, true)
	}
}

func localAddr(fd int) string {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return ""
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)).String()
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)).String()
	default:
		return ""
	}
}

func inUse(addr string) error {
	holder := ""
	if ap, err := netip.ParseAddrPort(addr); err == nil {
		if who := proc.FindListener(ap); who != "" {
			holder = " by " + who
		}
	}
	return fmt.Errorf("%s is in use%s: stop that program, or move all ports with PORT_OFFSET=1000", addr, holder)
}

// sortedNames is for what depends on an order.
func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
