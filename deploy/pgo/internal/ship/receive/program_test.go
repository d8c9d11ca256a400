package receive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgo/deploy/pgo/internal/release"
	"pgo/deploy/pgo/internal/ship/delta"
	"pgo/deploy/pgo/internal/ship/wire"
)

func sumOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// A program is stored whole or as the difference to a release, and never where the content is not what was announced.
func TestStoreProgram(t *testing.T) {
	path, err := os.Executable() // a Go program for this machine
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := append(bytes.Clone(content), "changed"...)
	encode := func(base []byte) []byte {
		var b bytes.Buffer
		if err := delta.Encode(&b, base, content); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	sum, size := sumOf(content), int64(len(content))
	whole := wire.Program{Process: "user", SHA256: sum, Size: size, Sent: true}
	program := func(change func(*wire.Program)) wire.Program {
		p := whole
		change(&p)
		return p
	}
	sentWhole, sentDiff := encode(nil), encode(changed)
	tests := []struct {
		name    string
		program wire.Program
		sent    []byte
		want    error  // nil and no text: it is stored
		text    string // in the error
	}{
		{name: "whole", program: whole, sent: sentWhole},
		{name: "a difference", program: program(func(p *wire.Program) { p.Base = sumOf(changed) }), sent: sentDiff},
		{name: "a base that is a path", program: program(func(p *wire.Program) { p.Base = "../user/" + sumOf(changed) }), sent: sentDiff, want: wire.ErrProtocol},
		{name: "an unknown base", program: program(func(p *wire.Program) { p.Base = strings.Repeat("0", 64) }), sent: sentDiff, want: os.ErrNotExist},
		{name: "another base", program: program(func(p *wire.Program) { p.Base = sumOf(changed) }), sent: sentWhole[:100], want: delta.ErrDamaged},
		{name: "a cut difference", program: whole, sent: sentWhole[:size/10], want: delta.ErrDamaged},
		{name: "a smaller size", program: program(func(p *wire.Program) { p.Size-- }), sent: sentWhole, want: delta.ErrDamaged},
		{name: "another SHA-256", program: program(func(p *wire.Program) { p.SHA256 = strings.Repeat("0", 64) }), sent: sentWhole, text: "SHA-256"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			store := &release.Store{Dir: t.TempDir()}
			if err := os.MkdirAll(filepath.Join(store.Dir, "user"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(store.Dir, "user", sumOf(changed)), changed, 0o700); err != nil {
				t.Fatal(err)
			}
			r, err := storeProgram(t.Context(), store, test.program, bytes.NewReader(test.sent))
			_, statErr := os.Stat(filepath.Join(store.Dir, "user", sum))
			if test.want == nil && test.text == "" {
				if err != nil || statErr != nil || r.Record.Verification.SHA256 != sum {
					t.Errorf("it is not stored: %+v, %v, %v", r, err, statErr)
				}
				return
			}
			if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("the error is %v, want %v with %q", err, test.want, test.text)
			}
			if !errors.Is(statErr, os.ErrNotExist) {
				t.Errorf("it is stored all the same: %v", statErr)
			}
		})
	}
}

func TestEmptyFile(t *testing.T) {
	if n, err := (emptyFile{}).ReadAt(make([]byte, 1), 0); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("%d bytes, %v", n, err)
	}
}
