package web

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// FuzzHost checks that only an address, localhost and the names of the process file are accepted as a Host header.
func FuzzHost(f *testing.F) {
	for _, seed := range []string{"127.0.0.1:9900", "[::1]:9900", "::1", "localhost", "LOCALHOST.:80", "runtime", "evil.example", "127.0.0.1.evil.example", "", ":", "[", "[]:1", "a:b:c", "[fe80::1%lo]:1", "localhost:99999"} {
		f.Add(seed)
	}
	h := newHandler(Options{Hosts: []string{"runtime"}})
	f.Fuzz(func(t *testing.T, host string) {
		if !h.isKnownHost(host) {
			return
		}
		name := host
		if n, _, err := net.SplitHostPort(host); err == nil {
			name = n
		}
		if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err != nil &&
			!slices.Contains([]string{"localhost", "runtime"}, strings.ToLower(strings.TrimSuffix(name, "."))) {
			t.Errorf("%q is taken for pgo", host)
		}
	})
}
