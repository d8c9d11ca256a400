package release

import (
	"bytes"
	"debug/elf"
	"errors"
	"testing"
)

// TestVerifyDamage mixes two builds of one length, as an interrupted upload over a file does, and damages files in other ways.
func TestVerifyDamage(t *testing.T) {
	here := Platform{}.orHost()
	a := buildProgram(t, plainSource, "-trimpath", "-ldflags=-s -w -X main.version=aaaaaaaa")
	b := buildProgram(t, plainSource, "-trimpath", "-ldflags=-s -w -X main.version=bbbbbbbb")
	if len(a) != len(b) || bytes.Equal(a, b) {
		t.Fatalf("%d and %d bytes", len(a), len(b))
	}
	for _, text := range [][]byte{a, b} {
		if _, err := verifyContent(t, text, here); err != nil {
			t.Fatal(err)
		}
	}
	// unhashed masks the parts that the hash omits: the build ID except the hash itself, and GNU's note. Nothing that runs
	// depends on them.
	unhashed := func(text []byte) []byte {
		c := content{bytes.NewReader(text), int64(len(text))}
		p, err := readProgram(c)
		if err != nil {
			t.Fatal(err)
		}
		id, err := p.readBuildID(c)
		if err != nil || id == "" {
			t.Fatal(id, err)
		}
		masked := bytes.Replace(text, []byte(id), make([]byte, len(id)), 1)
		from, to := p.locateGNUNote(c)
		if to-from != 20 {
			t.Fatalf("GNU's note is %d bytes long", to-from)
		}
		clear(masked[from:to])
		return masked
	}
	mask := unhashed(a)

	t.Run("truncated", func(t *testing.T) {
		for n := 0; n < len(a); n += 1 + n/2 {
			_, err := verifyContent(t, a[:n], here)
			checkKind(t, err, Incomplete)
		}
		_, err := verifyContent(t, a[:len(a)-1], here)
		checkKind(t, err, Incomplete)
	})
	t.Run("mixed", func(t *testing.T) {
		last, maskB := 0, unhashed(b) // the last byte in which what counts differs
		for i := range mask {
			if mask[i] != maskB[i] {
				last = i
			}
		}
		for cut := 4096; cut <= last; cut += (last - 4096) / 50 {
			for _, text := range [][]byte{append(bytes.Clone(a[:cut]), b[cut:]...), append(bytes.Clone(b[:cut]), a[cut:]...)} {
				_, err := verifyContent(t, text, here)
				checkKind(t, err, Mixed)
			}
		}
	})
	t.Run("zero holes", func(t *testing.T) {
		for at := 0; at < len(a); at += len(a) / 60 {
			text := bytes.Clone(a)
			clear(text[at:min(at+4096, len(a))])
			if bytes.Equal(text, a) {
				continue
			}
			if _, err := verifyContent(t, text, here); !isRefused(err) {
				t.Errorf("zeros from %d: %v", at, err)
			}
		}
	})
	t.Run("one byte", func(t *testing.T) {
		for at, step := 0, 1; at < len(a); at += step {
			switch { // all of the header, many of the tables, some of the rest
			case at > 1024:
				step = len(a) / 100
			case at > 64:
				step = 11
			}
			text := bytes.Clone(a)
			text[at] ^= 0x10
			if _, err := verifyContent(t, text, here); !isRefused(err) && mask[at] != 0 {
				t.Errorf("byte %d: %v", at, err)
			}
		}
	})
	t.Run("every byte of the notes", func(t *testing.T) {
		p, err := readProgram(content{bytes.NewReader(a), int64(len(a))})
		if err != nil {
			t.Fatal(err)
		}
		accepted := 0
		for _, s := range p.file.Progs {
			if s.Type != elf.PT_NOTE {
				continue
			}
			for at := s.Off; at < s.Off+s.Filesz; at++ {
				text := bytes.Clone(a)
				text[at] ^= 0x10
				if _, err := verifyContent(t, text, here); !isRefused(err) {
					accepted++
				}
			}
		}
		if accepted > 3*21 { // three hashes of 20 characters and their slashes
			t.Errorf("%d changed bytes were not noticed", accepted)
		}
	})
}

func isRefused(err error) bool {
	_, ok := errors.AsType[*Refusal](err)
	return ok
}

// FuzzVerify checks that no content causes a panic, and that accepted content is one of the whole files, except for the parts
// that the hash omits.
func FuzzVerify(f *testing.F) {
	seeds := [][]byte{
		elfFixture{machine: elf.EM_X86_64, body: "hello"}.encode(),
		elfFixture{machine: elf.EM_386, narrow: true}.encode(),
		elfFixture{machine: elf.EM_S390, big: true}.encode(),
		elfFixture{machine: elf.EM_MIPS, big: true, narrow: true}.encode(),
		elfFixture{machine: elf.EM_X86_64, id: "-"}.encode(),
	}
	for _, s := range seeds {
		f.Add(s)
		f.Add(s[:len(s)/2])
		f.Add(append(bytes.Clone(s), s...))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, on := range []Platform{amd64, {"linux", "386"}, {"linux", "s390x"}, {"linux", "mips"}} {
			proof, err := verifyContent(t, text, on)
			if err != nil {
				if !isRefused(err) {
					t.Errorf("%v", err)
				}
				continue
			}
			same := false
			for _, s := range seeds {
				differ := 0
				for i := 0; len(s) == len(text) && i < len(s); i++ {
					if s[i] != text[i] {
						differ++
					}
				}
				same = same || len(s) == len(text) && differ <= len(proof.BuildID)+20
			}
			if !same {
				t.Errorf("accepted %q, %+v", text, proof)
			}
		}
	})
}
