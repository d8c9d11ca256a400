package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// openPair opens both sides of one session.
func openPair(t *testing.T) (a, b *Conn, close func()) {
	t.Helper()
	x, y := net.Pipe()
	a, _ = Open(t.Context(), x, x)
	b, _ = Open(t.Context(), y, y)
	t.Cleanup(func() { x.Close(); y.Close() })
	return a, b, func() { x.Close() }
}

func TestSession(t *testing.T) {
	a, b, hangUp := openPair(t)
	file := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
	sent := make(chan error, 1)
	go func() {
		err := a.Send(Hello{ID: "one"})
		d := a.FileWriter()
		_, werr := d.Write(file)
		sent <- errors.Join(err, werr, d.Close(), a.Send(Report{Text: "last"}))
		hangUp()
	}()
	var hello Hello
	if err := b.Receive(&hello); err != nil || hello.ID != "one" {
		t.Fatalf("%+v %v", hello, err)
	}
	got, err := io.ReadAll(b.FileReader())
	if err != nil || !bytes.Equal(got, file) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	var report Report
	if err := b.Receive(&report); err != nil || report.Text != "last" {
		t.Fatalf("%+v %v", report, err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if err := b.Receive(&report); !errors.Is(err, ErrLost) {
		t.Errorf("after the end: %v", err)
	}
}

// Bytes that are no frame, and frames over their bound, end the session.
func TestInvalidFrames(t *testing.T) {
	for name, text := range map[string]string{
		"a shell's greeting":      "Last login: yesterday\n",
		"a message is too large":  "m\x00\x20\x00\x00",
		"a part is too large":     "d\x00\x10\x00\x00",
		"the end has a content":   "e\x00\x00\x00\x01x",
		"a message is not JSON":   "m\x00\x00\x00\x03abc",
		"a file without its name": "d\x00\x00\x00\x03abc",
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := Open(t.Context(), io.MultiReader(strings.NewReader(text), neverEnds{t.Context()}), io.Discard)
			if err := c.Receive(&Report{}); !errors.Is(err, ErrProtocol) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

type neverEnds struct{ ctx context.Context }

func (n neverEnds) Read([]byte) (int, error) {
	<-n.ctx.Done()
	return 0, io.EOF
}

// A silent side is given up; a side that is only slow to read is not.
func TestSilence(t *testing.T) {
	x, y := net.Pipe()
	defer x.Close()
	defer y.Close()
	a, ctx := open(t.Context(), x, x, time.Hour, 50*time.Millisecond)
	go func() { _, _ = io.Copy(io.Discard, y) }()
	<-ctx.Done()
	if err := a.Receive(&Report{}); !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "nothing was received") {
		t.Errorf("the error is %v", err)
	}
}
