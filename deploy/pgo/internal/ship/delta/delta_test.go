package delta

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

func randomBytes(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	text := make([]byte, n)
	for i := range text {
		text[i] = byte(r.Uint32())
	}
	return text
}

func joinBytes(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// shiftBytes returns a copy in which every 50th byte is one more, as addresses are in a program that has become longer.
func shiftBytes(text []byte) []byte {
	out := bytes.Clone(text)
	for i := 0; i < len(out); i += 50 {
		out[i]++
	}
	return out
}

func encode(t *testing.T, old, new []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := Encode(&out, old, new); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestDelta(t *testing.T) {
	text := randomBytes(1 << 20)
	tests := []struct {
		name     string
		old, new []byte
		maxBytes int // bytes that it may take
	}{
		{"the same", text, text, 500},
		{"nothing of nothing", nil, nil, 50},
		{"nothing of something", text, nil, 50},
		{"something of nothing", nil, text, len(text) + 500},
		{"shorter than a run", []byte("abc"), []byte("abcd"), 50},
		{"one byte", text, joinBytes(text[:5000], []byte("x"), text[5001:]), 500},
		{"a part is inserted", text, joinBytes(text[:5001], randomBytes(333), text[5001:]), 1000},
		{"a part is removed", text, joinBytes(text[:5001], text[9001:]), 500},
		{"parts change places", text, joinBytes(text[700000:], text[:700000]), 500},
		{"addresses are off", text, shiftBytes(text), len(text) / 20},
		{"another file", randomBytes(1 << 20), randomBytes(1<<20 + 7), 1<<20 + 1000},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			text := encode(t, test.old, test.new)
			if len(text) > test.maxBytes {
				t.Errorf("it takes %d bytes, want at most %d", len(text), test.maxBytes)
			}
			var out bytes.Buffer
			if err := Decode(&out, bytes.NewReader(text), bytes.NewReader(test.old), int64(len(test.old)), int64(len(test.new))); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(out.Bytes(), test.new) {
				t.Error("it is another file")
			}
		})
	}
}

// Damaged input is an error, and never makes a longer file than announced.
func TestDamaged(t *testing.T) {
	old := randomBytes(100_000)
	text := encode(t, old, shiftBytes(old))
	for name, test := range map[string]struct {
		text []byte
		old  []byte
		size int
	}{
		"cut off":        {text[:len(text)/2], old, len(old)},
		"empty":          {nil, old, len(old)},
		"no difference":  {[]byte("hello, this is none"), old, len(old)},
		"another size":   {text, old, len(old) - 1},
		"too small":      {text, old, len(old) + 1},
		"old is shorter": {text, old[:1000], len(old)},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			err := Decode(&out, bytes.NewReader(test.text), bytes.NewReader(test.old), int64(len(test.old)), int64(test.size))
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("the error is %v", err)
			}
			if out.Len() > test.size {
				t.Errorf("%d bytes came out", out.Len())
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	old := randomBytes(1000)
	var out bytes.Buffer
	if err := Encode(&out, old, shiftBytes(old)); err != nil {
		f.Fatal(err)
	}
	f.Add(out.Bytes(), 1000)
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		if size < 0 || size > 1<<20 {
			return
		}
		var out bytes.Buffer
		_ = Decode(&out, bytes.NewReader(text), bytes.NewReader(old), int64(len(old)), int64(size))
		if out.Len() > size {
			t.Errorf("%d bytes were written, of %d", out.Len(), size)
		}
	})
}

func FuzzDelta(f *testing.F) {
	f.Add([]byte("old"), []byte("new"))
	f.Fuzz(func(t *testing.T, old, new []byte) {
		text := encode(t, old, new)
		var out bytes.Buffer
		if err := Decode(&out, bytes.NewReader(text), bytes.NewReader(old), int64(len(old)), int64(len(new))); err != nil || !bytes.Equal(out.Bytes(), new) {
			t.Errorf("another file, %v", err)
		}
	})
}
