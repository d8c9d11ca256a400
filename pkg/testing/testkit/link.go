package testkit

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// Link is a TCP proxy in front of a server, which a test cuts or slows down. Its methods must not be called at the
// same time.
type Link struct {
	t     testing.TB
	proxy *toxiproxy.Proxy
	addr  string
}

// NewLink opens a link to upstream (host:port) that ends with the test.
func NewLink(t testing.TB, upstream string) *Link {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	l := &Link{t: t, addr: ReserveAddr(t)}
	l.proxy = toxiproxy.NewProxy(server, "link", l.addr, upstream)
	if err := l.proxy.Start(); err != nil {
		t.Fatalf("open a link to %s: %v", upstream, err)
	}
	t.Cleanup(l.proxy.Stop)
	return l
}

// Addr returns the address for clients. It stays the same through Cut and Restore.
func (l *Link) Addr() string { return l.addr }

// Cut ends every connection and refuses new ones until Restore.
func (l *Link) Cut() { l.proxy.Stop() }

// Restore lets connections through again.
func (l *Link) Restore() {
	l.t.Helper()
	if l.proxy.Enabled {
		return
	}
	if err := l.proxy.Start(); err != nil {
		l.t.Fatalf("open the link again: %v", err)
	}
}

// SetLatency delays the server's answers by d; 0 ends that.
func (l *Link) SetLatency(d time.Duration) {
	l.t.Helper()
	l.proxy.Toxics.ResetToxics(context.Background())
	if d <= 0 {
		return
	}
	toxic := fmt.Sprintf(`{"type":"latency","stream":"downstream","toxicity":1,"attributes":{"latency":%d}}`, d.Milliseconds())
	if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		l.t.Fatalf("slow the link down: %v", err)
	}
}
