// Package wire is how `pgo deploy` and `pgo receive` speak: frames over one stream each way, as an SSH session has.
//
// A frame is its kind (one byte), the length of its content (four bytes, the highest first) and its content. Both
// sides bound what they take, and both say every few seconds that they are there: a connection that is lost without a
// word is noticed as well.
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

// Protocol is the version of what is said. It changes when one side would misunderstand another.
const Protocol = 1

// Kinds of frames.
const (
	kindMessage = 'm' // one JSON object
	kindData    = 'd' // a part of a file
	kindEnd     = 'e' // of a file
	kindAlive   = 'a' // nothing: the other side is there
)

// Bounds of what is taken.
const (
	maxMessage = 1 << 20
	maxData    = 128 << 10
)

// How long silence is borne.
const (
	aliveInterval = 3 * time.Second
	maxSilence    = 20 * time.Second
)

// Errors that a connection ends with.
var (
	ErrLost     = errors.New("the connection was lost")
	ErrProtocol = errors.New("the other side does not speak this protocol")
)

type frame struct {
	kind    byte
	content []byte
}

// Conn is one side of a conversation. One goroutine receives; any may send.
type Conn struct {
	w            io.Writer
	writeMu      sync.Mutex
	frames       chan frame
	done         <-chan struct{}
	cause        func() error
	readingSince atomic.Int64 // when the reading of a frame began; 0 while nothing is read
}

// Open begins a conversation. The context it returns ends with it, and its cause says why; where the other side went
// away that is ErrLost. The caller closes what r reads from when the conversation is over: only that ends the reading.
func Open(ctx context.Context, r io.Reader, w io.Writer) (*Conn, context.Context) {
	return open(ctx, r, w, aliveInterval, maxSilence)
}

func open(ctx context.Context, r io.Reader, w io.Writer, say, most time.Duration) (*Conn, context.Context) {
	ctx, end := context.WithCancelCause(ctx)
	c := &Conn{w: w, frames: make(chan frame, 4), done: ctx.Done(), cause: func() error { return context.Cause(ctx) }}
	go c.readFrames(r, end)
	go c.watchSilence(ctx, end, say, most)
	return c, ctx
}

// readFrames takes frames until the stream ends.
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

// readFrame takes one off the stream.
func readFrame(r io.Reader) (frame, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, fmt.Errorf("%w: %w", ErrLost, err)
	}
	most := map[byte]uint32{kindMessage: maxMessage, kindData: maxData, kindEnd: 0, kindAlive: 0}
	length := binary.BigEndian.Uint32(head[1:])
	if limit, known := most[head[0]]; !known || length > limit {
		return frame{}, fmt.Errorf("%w: it says %q", ErrProtocol, head[:])
	}
	f := frame{head[0], make([]byte, length)}
	if _, err := io.ReadFull(r, f.content); err != nil {
		return frame{}, fmt.Errorf("%w: %w", ErrLost, err)
	}
	return f, nil
}

// watchSilence says that this side is there, and ends a conversation in which the other says nothing.
func (c *Conn) watchSilence(ctx context.Context, end context.CancelCauseFunc, say, most time.Duration) {
	every := time.NewTicker(say)
	defer every.Stop()
	// Writing may block for as long as the other side does not read: the silence is seen meanwhile.
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-every.C:
				if err := c.sendFrame(kindAlive, nil); err != nil {
					return // reading ends as well, and says more
				}
			}
		}
	}()
	look := time.NewTicker(most / 4)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		if since := c.readingSince.Load(); since != 0 && time.Since(time.Unix(0, since)) > most {
			end(fmt.Errorf("%w: nothing was heard for %s", ErrLost, most))
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

// Send sends a message.
func (c *Conn) Send(message any) error {
	content, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("say: %w", err)
	}
	if len(content) > maxMessage {
		return fmt.Errorf("say: %d bytes are too much", len(content))
	}
	return c.sendFrame(kindMessage, content)
}

// Receive waits for the next message. What was sent before the other side went away is received still.
func (c *Conn) Receive(into any) error {
	f, err := c.nextFrame()
	if err != nil {
		return err
	}
	if f.kind != kindMessage {
		return fmt.Errorf("%w: a part of a file comes where none was said", ErrProtocol)
	}
	if err := json.Unmarshal(f.content, into); err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return nil
}

// nextFrame waits for a frame, and takes those that were read before the conversation ended.
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

// FileWriter is what a file is sent with: writing sends parts, Close says that it is whole.
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

// FileReader is what the other side sends with Data, to its end.
func (c *Conn) FileReader() io.Reader { return &fileReader{Conn: c} }

type fileReader struct {
	Conn *Conn
	rest frame // of which not all was read yet
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
			return 0, fmt.Errorf("%w: a file ends without its end", ErrProtocol)
		}
		r.rest = f
	}
	n := copy(p, r.rest.content)
	r.rest.content = r.rest.content[n:]
	return n, nil
}
