package ship

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"

	"pgo/deploy/pgo/internal/ship/wire"
)

// connection is an ssh process of the user's own whose stdin and stdout reach pgo receive on a host.
type connection struct {
	Conn   *wire.Conn
	cmd    *exec.Cmd
	in     io.WriteCloser
	stderr *stderrTail
	end    context.CancelFunc
	sent   *byteCounter
	once   sync.Once
	exit   error // of ssh, once closed
}

// byteCounter counts the bytes that are written through it.
type byteCounter struct {
	io.Writer
	mu sync.Mutex
	n  int64
}

func (c *byteCounter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += int64(n)
	return n, err
}

func (c *byteCounter) total() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// dial starts ssh and sends the hello. Messages of ssh itself go to Stderr.
func (o Options) dial(ctx context.Context, host string, hello wire.Hello) (*connection, error) {
	words := strings.Fields(o.SSH)
	if len(words) == 0 || host == "" || strings.HasPrefix(host, "-") {
		return nil, fmt.Errorf("%q with %q: expected a host and a command that reaches it", host, o.SSH)
	}
	ctx, end := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, words[0], append(words[1:], host, o.Remote)...)
	cmd.WaitDelay = time.Second
	report := &stderrTail{to: o.Stderr}
	cmd.Stderr = report
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		end()
		return nil, fmt.Errorf("start %s: %w", words[0], err)
	}
	if err := cmd.Start(); err != nil {
		end()
		return nil, fmt.Errorf("start %s: %w: this command reaches the host and has to be installed here", words[0], err)
	}
	sent := &byteCounter{Writer: in}
	conn, _ := wire.Open(ctx, newBannerSkipper(out, func(banner string) {
		fmt.Fprintf(o.Stderr, "%s: skipped what its login shell printed: %q\n", host, banner)
	}), sent)
	s := &connection{Conn: conn, cmd: cmd, in: in, stderr: report, end: end, sent: sent}
	if err := conn.Send(hello); err != nil {
		return nil, s.wrapError(err)
	}
	return s, nil
}

// ErrUnreachable is returned where ssh does not reach pgo on the host: nothing was started there.
var ErrUnreachable = errors.New("the host cannot be reached")

// wrapError closes the connection and adds the most telling reason: a missing pgo, or the last line that ssh or the host
// printed.
func (s *connection) wrapError(err error) error {
	waited := s.close()
	if exit, ok := errors.AsType[*exec.ExitError](waited); ok && exit.ExitCode() == 127 {
		return fmt.Errorf("%w: there is no pgo in the PATH of the user there: name it with --remote \"/PATH/pgo receive\": %w", err, exit)
	}
	if last := s.stderr.lastLine(); last != "" {
		return fmt.Errorf("%w: %s", err, last)
	}
	return err
}

// close ends the connection and returns the exit error of ssh. A second call returns the same.
func (s *connection) close() error {
	s.once.Do(func() {
		_ = s.in.Close()
		// ssh ends when the host does. Where it does not, it is killed.
		timer := time.AfterFunc(2*time.Second, s.end)
		defer timer.Stop()
		s.exit = s.cmd.Wait()
		s.end()
	})
	return s.exit
}

// stderrTail passes on what ssh prints, and keeps its last 1000 bytes.
type stderrTail struct {
	to   io.Writer
	mu   sync.Mutex
	text string
}

func (w *stderrTail) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text += string(p)
	w.text = w.text[max(0, len(w.text)-1000):]
	return w.to.Write(p)
}

func (w *stderrTail) lastLine() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(w.text), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
