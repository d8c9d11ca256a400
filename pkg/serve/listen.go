package serve

import (
	"fmt"
	"net"

	"github.com/coreos/go-systemd/v22/activation"
)

// Names of the listeners that a program inherits or binds.
const (
	PublicListener = "http"
	AdminListener  = "admin"
)

// openListeners returns the public and the admin listener: those inherited under their names (LISTEN_FDS and LISTEN_FDNAMES,
// as systemd and pgo pass them), otherwise new ones on the configured addresses.
func openListeners(cfg Config) (public, admin net.Listener, err error) {
	inherited, err := activation.ListenersWithNames()
	if err != nil {
		return nil, nil, fmt.Errorf("take inherited listeners: %w", err)
	}
	for name, l := range inherited {
		if name != PublicListener && name != AdminListener {
			return nil, nil, fmt.Errorf("inherited listener %q: only %s and %s are served, others would take connections that nobody answers", name, PublicListener, AdminListener)
		}
		if len(l) > 1 {
			return nil, nil, fmt.Errorf("inherited %d listeners named %s: one is served", len(l), name)
		}
	}
	if public, err = inheritOrBind(inherited, PublicListener, cfg.Addr); err != nil {
		return nil, nil, err
	}
	if admin, err = inheritOrBind(inherited, AdminListener, cfg.AdminAddr); err != nil {
		public.Close()
		return nil, nil, err
	}
	return public, admin, nil
}

func inheritOrBind(inherited map[string][]net.Listener, name, addr string) (net.Listener, error) {
	if l := inherited[name]; len(l) > 0 {
		if u, ok := l[0].(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false) // the socket file belongs to the manager, and the next process serves it
		}
		return l[0], nil
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w", name, err)
	}
	return l, nil
}
