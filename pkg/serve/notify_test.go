package serve_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/sys/unix"

	"pgo/pkg/serve"
)

func TestManagerIsNotified(t *testing.T) {
	socket, notified := notifySocket(t)
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "60000")
	p, e := newProgram(t, time.Minute)
	release := make(chan struct{})
	inside := make(chan struct{})
	e.GET("/slow", func(c *gin.Context) { close(inside); <-release; c.Status(http.StatusNoContent) })
	s := start(t, p)
	expect := func(want string) {
		t.Helper()
		for {
			select {
			case got := <-notified:
				if got == want {
					return
				}
				if got != "WATCHDOG=1" {
					t.Fatalf("notified %q, want %q", got, want)
				}
			case <-soon():
				t.Fatalf("never notified %q", want)
			}
		}
	}
	expect("READY=1")
	expect("WATCHDOG=1")
	c := mustDial(t, s.public)
	if err := c.send("GET", "/slow", ""); err != nil {
		t.Fatal(err)
	}
	<-inside
	s.stop()
	expect("STOPPING=1")
	for range 3 { // a drain may last longer than the watchdog's period
		expect("WATCHDOG=1")
	}
	close(release)
	if _, _, _, err := c.receive(); err != nil {
		t.Error(err)
	}
	if err := s.wait(t); err != nil {
		t.Error(err)
	}
}

func TestManagerIsNotNotifiedBeforeReadiness(t *testing.T) {
	socket, notified := notifySocket(t)
	t.Setenv("NOTIFY_SOCKET", socket)
	p, _ := newProgram(t, time.Minute)
	asked := make(chan struct{}, 100)
	p.Health.Require("gate", func(context.Context) error { asked <- struct{}{}; return errors.New("closed") })
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	<-asked
	<-asked
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := <-notified; got != "STOPPING=1" {
		t.Errorf("notified %q first", got)
	}
}

// notifySocket is a manager's end of NOTIFY_SOCKET.
func notifySocket(t testing.TB) (path string, notified <-chan string) {
	t.Helper()
	path = t.TempDir() + "/n"
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	out := make(chan string, 1000)
	go func() {
		defer close(out)
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			out <- string(buf[:n])
		}
	}()
	t.Cleanup(func() { conn.Close() })
	return path, out
}

func TestManagerIsNotifiedOfAReload(t *testing.T) {
	socket, notified := notifySocket(t)
	t.Setenv("NOTIFY_SOCKET", socket)
	done := serve.NotifyReloading()
	if got := <-notified; !strings.HasPrefix(got, "RELOADING=1\nMONOTONIC_USEC=") {
		t.Errorf("notified %q", got)
	}
	done()
	if got := <-notified; got != "READY=1" {
		t.Errorf("notified %q", got)
	}
}

// PM2 waits for a line of JSON on the socket that Node leaves to its children.
func TestPM2IsNotified(t *testing.T) {
	for _, test := range []struct {
		name, notify string
		want         string
	}{
		{"ready", "", "\"ready\"\n"},
		{"another manager is notified", "there", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			node := os.NewFile(uintptr(ends[0]), "node")
			defer node.Close()
			if test.notify != "" {
				test.notify, _ = notifySocket(t)
			}
			t.Setenv("NOTIFY_SOCKET", test.notify)
			t.Setenv("NODE_CHANNEL_FD", strconv.Itoa(ends[1]))
			p, _ := newProgram(t, time.Minute)
			s := start(t, p)
			s.stop()
			if err := s.wait(t); err != nil {
				t.Error(err)
			}
			unix.Close(ends[1])
			if got, err := io.ReadAll(node); string(got) != test.want || err != nil {
				t.Errorf("notified %q, %v, want %q", got, err, test.want)
			}
		})
	}
}

// The variable may have been inherited from another PM2, and its number be anything by now.
func TestOtherFilesAreNotTakenForPM2(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, fd := range []string{strconv.Itoa(int(file.Fd())), "9999", "x"} {
		t.Run(fd, func(t *testing.T) {
			t.Setenv("NODE_CHANNEL_FD", fd)
			p, _ := newProgram(t, time.Minute)
			s := start(t, p)
			s.stop()
			if err := s.wait(t); err != nil {
				t.Error(err)
			}
		})
	}
	if info, err := file.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("something was written: %v %v", info, err)
	}
}
