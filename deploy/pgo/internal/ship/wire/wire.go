// Package wire holds the protocol of `pgo deploy` and `pgo receive`: frames over one stream each way, as an SSH session has.
//
// A frame is its kind (one byte), the length of its content (four bytes, big-endian) and its content. Both sides
// bound the frames that they read, and both send a frame every few seconds: so a connection that is lost without an error is
// noticed as well.
package wire

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Protocol is the version of the messages. It changes when one side would misunderstand the other.
const Protocol = 1

// Kinds of frames.
const (
	kindMessage = 'm' // one JSON object
	kindData    = 'd' // a part of a file
	kindEnd     = 'e' // of a file
	kindAlive   = 'a' // empty: this side is alive
)

// Bounds of a frame's content, in bytes.
const (
	maxMessage = 1 << 20
	maxData    = 128 << 10
)

// Interval of the frames that show that a side is alive, and the silence after which the connection counts as lost.
const (
	aliveInterval = 3 * time.Second
	maxSilence    = 20 * time.Second
)

// Errors that end a connection.
var (
	ErrLost     = errors.New("the connection was lost")
	ErrProtocol = errors.New("the other side does not speak this protocol")
)

type frame struct {
	kind    byte
	content []byte
}

// Conn is one side of a session. One goroutine may receive, any may send.
type Conn struct {
	w            io.Writer
	writeMu      sync.Mutex
	frames       chan frame
	done         <-chan struct{}
	cause        func() error
	readingSince atomic.Int64 // Unix time in ns when reading of a frame began; 0 while none is read
}

// Open starts a session. The returned context ends with the session, and its cause is the reason: ErrLost where the other
// side is gone. The caller closes the source of r when the session is over: only that ends the reading.
func Open(ctx context.Context, r io.Reader, w io.Writer) (*Conn, context.Context) {
	return open(ctx, r, w, aliveInterval, maxSilence)
}

func open(ctx context.Context, r io.Reader, w io.Writer, interval, maxSilence time.Duration) (*Conn, context.Context) {
	ctx, end := context.WithCancelCause(ctx)
	c := &Conn{w: w, frames: make(chan frame, 4), done: ctx.Done(), cause: func() error { return context.Cause(ctx) }}
	go c.readFrames(r, end)
	go c.watchSilence(ctx, end, interval, maxSilence)
	return c, ctx
}

// readFrames reads frames until the stream ends.
func (c *Conn) readFrames(r io.Reader, end context.CancelCauseFunc) {
	defer close(c.frames)
	for {
		c.readingSince.Store(time.Now().UnixNano())
		f, err := readFrame(r)
		c.readingSince.Store(0)
		if err != nil {
			end(err)
			return
		}
		if f.kind == kindAlive {
			continue
		}
		select {
		case c.frames <- f:
		case <-c.done:
			return
		}
	}
}

// readFrame reads one frame. It returns ErrProtocol for an unknown kind or a content over its bound, and ErrLost at the end.
func readFrame(r io.Reader) (frame, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, fmt.Errorf("%w: %w", ErrLost, err)
	}
	limits := map[byte]uint32{kindMessage: maxMessage, kindData: maxData, kindEnd: 0, kindAlive: 0}
	length := binary.BigEndian.Uint32(head[1:])
	if limit, isKnown := limits[head[0]]; !isKnown || length > limit {
		return frame{}, fmt.Errorf("%w: it sent %q", ErrProtocol, head[:])
	}
	f := frame{head[0], make([]byte, length)}
	if _, err := io.ReadFull(r, f.content); err != nil {
		return frame{}, fmt.Errorf("%w: %w", ErrLost, err)
	}
	return f, nil
}

// watchSilence sends a frame at each interval, and ends a session in which nothing is received for longer than maxSilence.
func (c *Conn) watchSilence(ctx context.Context, end context.CancelCauseFunc, interval, maxSilence time.Duration) {
	every := time.NewTicker(interval)
	defer every.Stop()
	// Writing may block for as long as the other side does not read: the silence is watched meanwhile.
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-every.C:
				if err := c.sendFrame(kindAlive, nil); err != nil {
					return // reading ends as well, with a better reason
				}
			}
		}
	}()
	look := time.NewTicker(maxSilence / 4)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		if since := c.readingSince.Load(); since != 0 && time.Since(time.Unix(0, since)) > maxSilence {
			end(fmt.Errorf("%w: nothing was received for %s", ErrLost, maxSilence))
			return
		}
	}
}

func (c *Conn) sendFrame(kind byte, content []byte) error {
	text := make([]byte, 5, 5+len(content))
	text[0] = kind
	binary.BigEndian.PutUint32(text[1:], uint32(len(content)))
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	if _, err := c.w.Write(append(text, content...)); err != nil {
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	return nil
}

// Send sends a message, up to 1 MiB of JSON.
func (c *Conn) Send(message any) error {
	content, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("send a message: %w", err)
	}
	if len(content) > maxMessage {
		return fmt.Errorf("send a message: %d bytes are too many", len(content))
	}
	return c.sendFrame(kindMessage, content)
}

// Receive waits for the next message. It still returns the messages that were sent before the other side was gone.
func (c *Conn) Receive(into any) error {
	f, err := c.nextFrame()
	if err != nil {
		return err
	}
	if f.kind != kindMessage {
		return fmt.Errorf("%w: a part of a file where a message was expected", ErrProtocol)
	}
	if err := json.Unmarshal(f.content, into); err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return nil
}

// nextFrame waits for a frame. It still returns the frames that were read before the session ended.
func (c *Conn) nextFrame() (frame, error) {
	select {
	case f, ok := <-c.frames:
		if ok {
			return f, nil
		}
	case <-c.done:
		select {
		case f, ok := <-c.frames:
			if ok {
				return f, nil
			}
		default:
		}
	}
	return frame{}, c.cause()
}

// FileWriter sends a file: Write sends a part of it, Close its end.
func (c *Conn) FileWriter() io.WriteCloser { return fileWriter{c} }

type fileWriter struct{ Conn *Conn }

func (s fileWriter) Write(p []byte) (int, error) {
	for n := 0; n < len(p); n += maxData {
		if err := s.Conn.sendFrame(kindData, p[n:min(n+maxData, len(p))]); err != nil {
			return n, err
		}
	}
	return len(p), nil
}

func (s fileWriter) Close() error { return s.Conn.sendFrame(kindEnd, nil) }

// FileReader reads the file that the other side sends with its FileWriter, to its end.
func (c *Conn) FileReader() io.Reader { return &fileReader{Conn: c} }

type fileReader struct {
	Conn *Conn
	rest frame // was not read to its end yet
}

func (r *fileReader) Read(p []byte) (int, error) {
	for len(r.rest.content) == 0 {
		if r.rest.kind == kindEnd {
			return 0, io.EOF
		}
		f, err := r.Conn.nextFrame()
		if err != nil {
			return 0, err
		}
		if f.kind == kindMessage {
			return 0, fmt.Errorf("%w: a message within a file", ErrProtocol)
		}
		r.rest = f
	}
	n := copy(p, r.rest.content)
	r.rest.content = r.rest.content[n:]
	return n, nil
}
