package manager

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/proc"
	"pgo/deploy/pgo/processfile"
)

// listeners are the sockets that pgo opened for its processes. They stay open as long as the process file has them,
// so connections wait in the backlog while a process is away.
type listeners map[socket]listener

// socket names a listener. Those with a port of their own are known by address, so that they may move from one process
// to another; those on a free port belong to their process.
type socket struct{ process, name, addr string }

// listener is kept as a bare descriptor: os.File would clear O_NONBLOCK, which the processes that share it rely on.
type listener struct {
	fd   int
	addr string // with the port that was chosen
}

func socketOf(process string, l processfile.Listener) socket {
	if strings.HasSuffix(l.Addr, ":0") {
		return socket{process: process, name: l.Name, addr: l.Addr}
	}
	return socket{addr: l.Addr}
}

// with returns the listeners that the file asks for: those that are open, and new ones. On an error nothing has
// changed. Those that are no more asked for stay open until the caller drops them.
func (ls listeners) with(f processfile.File) (listeners, error) {
	next := listeners{}
	for _, p := range f.Processes {
		for _, l := range p.Listeners {
			s := socketOf(p.Name, l)
			open, ok := ls[s]
			if !ok {
				var err error
				if open, err = listen(l.Addr); err != nil {
					next.drop(ls)
					return nil, fmt.Errorf("%s: listener %s: %w", p.Name, l.Name, err)
				}
			}
			next[s] = open
		}
	}
	return next, nil
}

// drop closes those that are not in keep.
func (ls listeners) drop(keep listeners) {
	for s, l := range ls {
		if _, kept := keep[s]; !kept {
			_ = unix.Close(l.fd)
		}
	}
}

func listen(addr string) (listener, error) {
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
	if failed != nil {
		return listener{}, fmt.Errorf("keep the listener: %w", failed)
	}
	return listener{fd: fd, addr: l.Addr().String()}, nil
}

func inUse(addr string) error {
	holder := ""
	if ap, err := netip.ParseAddrPort(addr); err == nil {
		if who := proc.Listening(ap); who != "" {
			holder = " by " + who
		}
	}
	return fmt.Errorf("%s is in use%s: stop that program, or move all ports with PORT_OFFSET=1000", addr, holder)
}
