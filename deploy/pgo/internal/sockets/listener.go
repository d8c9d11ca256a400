// Package sockets opens the TCP listeners of processes. The keeper holds each of them, so that it stays open while a process, or
// pgo itself, is replaced.
package sockets

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/keeper"
	"pgo/deploy/pgo/internal/proc"
	"pgo/deploy/pgo/internal/processfile"
)

// listenKey begins the keys of the shared listeners that the keeper holds; their address follows, or process / listener.
const listenKey = "listen/"

// Listeners are the sockets that the instances of a process share, by the key under which the keeper holds them. They stay
// open as long as the process file has them, so connections wait in the backlog while a process is down.
type Listeners map[string]Listener

// Listener is an open socket. It is a bare descriptor: os.File would clear O_NONBLOCK, which the processes that share it
// rely on.
type Listener struct {
	Key  string
	FD   int
	Addr string // with the port that was chosen
}

// SharedKey returns the key of a shared listener. A listener with a fixed port is known by its address, so that it may move
// from one process to another; one on a free port belongs to its process.
func SharedKey(process string, l processfile.Listener) string {
	if strings.HasSuffix(l.Addr, ":0") {
		return listenKey + process + "/" + l.Name
	}
	return listenKey + l.Addr
}

// AdoptListeners returns the shared listeners that the keeper holds.
func AdoptListeners(fds map[string]int) Listeners {
	ls := Listeners{}
	for key, fd := range fds {
		if strings.HasPrefix(key, listenKey) {
			ls[key] = Listener{Key: key, FD: fd, Addr: LocalAddress(fd)}
		}
	}
	return ls
}

// Open returns the listeners of a process file: those that are open, and new ones. On an error nothing has changed.
// Listeners that the file has no more stay open until CloseExcept.
func (ls Listeners) Open(f processfile.File, link *keeper.Link) (Listeners, error) {
	next := Listeners{}
	err := f.EachListener(func(owner string, l processfile.Listener) error {
		if l.PerInstance {
			return nil
		}
		key := SharedKey(owner, l)
		open, ok := ls[key]
		if !ok {
			var err error
			if open, err = OpenListener(l.Addr, key, link); err != nil {
				next.CloseExcept(ls, link)
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

// CloseExcept closes the listeners that are not in keep.
func (ls Listeners) CloseExcept(keep Listeners, link *keeper.Link) {
	var keys []string
	for key, l := range ls {
		if _, kept := keep[key]; !kept {
			_ = unix.Close(l.FD)
			keys = append(keys, key)
		}
	}
	link.DropDescriptors(keys...)
}

// ForProcess returns the shared listeners of a process, by name.
func (ls Listeners) ForProcess(spec processfile.Process) map[string]Listener {
	mine := map[string]Listener{}
	for _, l := range spec.Listeners {
		if !l.PerInstance {
			mine[l.Name] = ls[SharedKey(spec.Name, l)]
		}
	}
	return mine
}

// OpenListener opens a listener and has the keeper hold it.
func OpenListener(addr, key string, link *keeper.Link) (Listener, error) {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return Listener{}, addressInUse(addr)
	}
	if err != nil {
		return Listener{}, err
	}
	defer l.Close() // the copy listens on
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		return Listener{}, fmt.Errorf("keep the listener: %w", err)
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
		return Listener{}, fmt.Errorf("keep the listener: %w", failed)
	}
	return Listener{Key: key, FD: fd, Addr: l.Addr().String()}, nil
}

// SetNonblocking makes an Accept on a shared listener wait in its process, not in the kernel: a process that inherits a
// listener may have changed that for all (golang/go#43894).
func SetNonblocking(ls map[string]Listener) {
	for l := range maps.Values(ls) {
		_ = unix.SetNonblock(l.FD, true)
	}
}

// LocalAddress returns the address that a socket is bound to, or "" if it is unknown.
func LocalAddress(fd int) string {
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

func addressInUse(addr string) error {
	holder := ""
	if ap, err := netip.ParseAddrPort(addr); err == nil {
		if who := proc.FindListener(ap); who != "" {
			holder = " by " + who
		}
	}
	return fmt.Errorf("%s is in use%s: stop that program, or move all ports with PORT_OFFSET=1000", addr, holder)
}
