package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	amd64    = Platform{"linux", "amd64"}
	testTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
)

func TestVerifyForms(t *testing.T) {
	good := elfFixture{machine: elf.EM_X86_64, body: "hello"}.encode()
	none := elfFixture{machine: elf.EM_X86_64, body: "hello", id: "-"}.encode()
	edit := func(off int, b byte) []byte {
		text := bytes.Clone(good)
		text[off] = b
		return text
	}
	sumOf := func(text []byte) string { return fmt.Sprintf("%x", sha256.Sum256(text)) }
	other := sumOf([]byte("other"))
	changed := bytes.Replace(good, []byte("hello"), []byte("hellx"), 1)
	const older, newer = -time.Minute, time.Minute
	tests := []struct {
		name string
		file []byte
		mode os.FileMode
		sum  string
		age  time.Duration // of the checksum, after the file's
		on   Platform
		want Kind
		by   string
	}{
		{name: "whole", file: good, by: MethodBuildID},
		{name: "arm64", file: elfFixture{machine: elf.EM_AARCH64}.encode(), on: Platform{"linux", "arm64"}, by: MethodBuildID},
		{name: "386", file: elfFixture{machine: elf.EM_386, narrow: true}.encode(), on: Platform{"linux", "386"}, by: MethodBuildID},
		{name: "s390x", file: elfFixture{machine: elf.EM_S390, big: true}.encode(), on: Platform{"linux", "s390x"}, by: MethodBuildID},
		{name: "mips", file: elfFixture{machine: elf.EM_MIPS, big: true, narrow: true}.encode(), on: Platform{"linux", "mips"}, by: MethodBuildID},
		{name: "larger than a block", file: elfFixture{machine: elf.EM_X86_64, body: strings.Repeat("0123456789", 60_000)}.encode(), by: MethodBuildID},
		{name: "an id of every length", file: elfFixture{machine: elf.EM_X86_64, id: "a/" + strings.Repeat("b", 501)}.encode(), by: MethodBuildID},

		{name: "no permission", file: good, mode: 0o644, want: NotExecutable},
		{name: "empty", want: Incomplete},
		{name: "one byte", file: good[:1], want: Incomplete},
		{name: "only the magic number", file: good[:4], want: Incomplete},
		{name: "the first block is still a hole", file: append(make([]byte, 4096), good...), want: Incomplete},
		{name: "garbage", file: []byte("garbage and more of it"), want: NotExecutable},
		{name: "more at the end", file: append(bytes.Clone(good), 0), want: Mixed},
		{name: "damaged content", file: bytes.Replace(good, []byte("hello"), []byte("hellx"), 1), want: Mixed},
		{name: "damaged hash", file: bytes.Replace(good, []byte("content/"), []byte("contentx"), 1), want: Unverified},
		{name: "damaged class", file: edit(elf.EI_CLASS, 7), want: NotExecutable},
		{name: "damaged size of a header", file: edit(54, 1), want: NotExecutable},
		{name: "nothing to load", file: edit(56, 0), want: NotExecutable},
		{name: "an object file", file: edit(16, byte(elf.ET_REL)), want: NotExecutable},
		{name: "a library", file: edit(24, 0), want: NotExecutable},
		{name: "another processor", file: elfFixture{machine: elf.EM_AARCH64}.encode(), want: WrongArchitecture},
		{name: "the same with other bits", file: elfFixture{machine: elf.EM_386, narrow: true}.encode(), want: WrongArchitecture},
		{name: "FreeBSD", file: edit(elf.EI_OSABI, byte(elf.ELFOSABI_FREEBSD)), want: WrongArchitecture},
		{name: "Windows", file: []byte("MZ\x90\x00 and so on"), want: WrongArchitecture},
		{name: "macOS", file: []byte("\xcf\xfa\xed\xfe and so on"), want: WrongArchitecture},

		{name: "no build ID", file: none, want: Unverified},
		{name: "no build ID, its sum", file: none, sum: sumOf(none), by: MethodSHA256},
		{name: "no build ID, its sum, written before", file: none, sum: sumOf(none), age: older, by: MethodSHA256},
		{name: "no build ID, another sum", file: none, sum: other, age: newer, want: Mixed},
		{name: "no build ID, the sum of the release before", file: none, sum: other, age: older, want: Unverified},
		{name: "no build ID, a sum that is none", file: none, sum: "soon", want: Unverified},
		{name: "stripped, its sum", file: changed, sum: sumOf(changed), by: MethodSHA256},
		{name: "incomplete, another sum", file: good[:len(good)-1], sum: other, age: newer, want: Incomplete},
		{name: "whole, its sum", file: good, sum: sumOf(good), by: MethodBuildID},
		{name: "whole, another sum", file: good, sum: other, age: newer, want: Mixed},
		{name: "whole, the sum of the release before", file: good, sum: other, age: older, by: MethodBuildID},
		{name: "its sum, another processor", file: good, sum: sumOf(good), on: Platform{"linux", "arm64"}, want: WrongArchitecture},
		{name: "its sum, no permission", file: good, sum: sumOf(good), mode: 0o644, want: NotExecutable},
		{name: "its sum, garbage", file: []byte("garbage"), sum: sumOf([]byte("garbage")), want: NotExecutable},
		{name: "a script", file: []byte("#!/bin/sh\n"), want: Unverified},
		{name: "a script, its sum", file: []byte("#!/bin/sh\n"), sum: sumOf([]byte("#!/bin/sh\n")), by: MethodSHA256},
		{name: "a script, another sum", file: []byte("#!/bin/sh\n"), sum: other, want: Mixed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "user")
			if test.mode == 0 {
				test.mode = 0o755
			}
			if test.on == (Platform{}) {
				test.on = amd64
			}
			writeFile(t, path, test.file, test.mode, testTime)
			if test.sum != "" {
				writeFile(t, SumFilePath(path), []byte(test.sum+"\n"), 0o644, testTime.Add(test.age))
			}
			proof, err := Verify(t.Context(), path, test.on)
			checkKind(t, err, test.want)
			if proof.Method != test.by {
				t.Errorf("verified by %q, want %q", proof.Method, test.by)
			}
			if err == nil && (proof.SHA256 != sumOf(test.file) || proof.Size != int64(len(test.file)) || (proof.BuildID == "") != (test.by == MethodSHA256)) {
				t.Errorf("got %+v", proof)
			}
			if err != nil && (proof != Verification{} || !strings.Contains(err.Error(), path)) {
				t.Errorf("got %+v and %q", proof, err)
			}
		})
	}
}

func checkKind(t *testing.T, err error, want Kind) {
	t.Helper()
	refusal, _ := errors.AsType[*Refusal](err)
	switch {
	case want == "" && err != nil:
		t.Errorf("refused: %v", err)
	case want != "" && (refusal == nil || !errors.Is(err, want)):
		t.Errorf("got %v, want %q", err, want)
	}
}

func TestVerifyIrregularFiles(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, fifo, "/dev/zero"} {
		_, err := Verify(t.Context(), path, amd64)
		checkKind(t, err, NotExecutable)
	}
	_, err := Verify(t.Context(), filepath.Join(dir, "none"), amd64)
	if _, refused := errors.AsType[*Refusal](err); refused || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	path := writeFile(t, filepath.Join(dir, "user"), elfFixture{machine: elf.EM_X86_64}.encode(), 0o755, testTime)
	if err := os.Mkdir(SumFilePath(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(t.Context(), path, amd64); err != nil {
		t.Errorf("a directory in place of the checksum: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Verify(ctx, path, amd64); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

func TestParseSums(t *testing.T) {
	a, b := strings.Repeat("aB", 32), strings.Repeat("cd", 32)
	lower := strings.ToLower(a)
	tests := []struct{ name, text, want string }{
		{"bare", a, lower},
		{"sha256sum", a + "  user\n", lower},
		{"sha256sum -b", a + " *user\n", lower},
		{"shasum --tag", "SHA256 (user) = " + a + "\n", lower},
		{"Windows", "\ufeff" + a + "  user\r\n", lower},
		{"of a path", a + "  dist/linux-amd64/user\n", lower},
		{"renamed since", a + "  user-v2\n", lower},
		{"one of several", b + "  school\n" + a + "  user\n", lower},
		{"none of several", b + "  school\n" + a + "  task\n", ""},
		{"among other lines", "# made by CI\n\n" + a + "  user\n", lower},
		{"too short", a[:62] + "  user\n", ""},
		{"no digits", strings.Repeat("z", 64) + "  user\n", ""},
		{"empty", "", ""},
		{"a line without end", strings.Repeat("x", 100_000), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got, err := parseSums(strings.NewReader(test.text), "user"); got != test.want || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// Sources of a program without and with C.
const (
	plainSource = "package main\n\nvar version = \"\"\n\nfunc main() { println(version) }\n"
	cgoSource   = "package main\n\n// static int three(void) { return 3; }\nimport \"C\"\n\nfunc main() { println(C.three()) }\n"
)

// buildProgram builds a program; settings are NAME=value for the environment, or flags of go build.
func buildProgram(t *testing.T, source string, settings ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "go.mod"), []byte("module example\n\ngo 1.26\n"), 0o644, testTime)
	writeFile(t, filepath.Join(dir, "main.go"), []byte(source), 0o644, testTime)
	env, args := append(os.Environ(), "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0"), []string{"build", "-o", "user"}
	for _, s := range settings {
		if strings.HasPrefix(s, "-") {
			args = append(args, s)
		} else {
			env = append(env, s)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir, cmd.Env = dir, env
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %v: %v\n%s", settings, err, output)
	}
	text, err := os.ReadFile(filepath.Join(dir, "user"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// verifyContent verifies a content as if it were a file without a sum file.
func verifyContent(t testing.TB, text []byte, on Platform) (Verification, error) {
	sum := sha256.Sum256(text)
	c := verifyInput{content: content{bytes.NewReader(text), int64(len(text))}, path: "/nonexistent/user", sum: hex.EncodeToString(sum[:]), mode: 0o755, modTime: testTime}
	return c.verify(t.Context(), on)
}

func TestVerifyRealPrograms(t *testing.T) {
	here := Platform{}.orHost()
	elsewhere := Platform{"linux", "arm64"}
	if here == elsewhere {
		elsewhere.Arch = "amd64"
	}
	tests := []struct {
		name     string
		source   string
		settings []string
		on       Platform
		want     Kind
	}{
		{"plain", plainSource, nil, here, ""},
		{"static, small and without paths", plainSource, []string{"-trimpath", "-ldflags=-s -w"}, here, ""},
		{"position-independent", plainSource, []string{"-buildmode=pie"}, here, ""},
		{"with C", cgoSource, []string{"CGO_ENABLED=1"}, here, ""},
		{"with C, small", cgoSource, []string{"CGO_ENABLED=1", "-trimpath", "-ldflags=-s -w"}, here, ""},
		{"with C, another mark of its linker", cgoSource, []string{"CGO_ENABLED=1", "-ldflags=-B none -extldflags=-Wl,--build-id=sha1"}, here, ""},
		{"no mark of the host", plainSource, []string{"-ldflags=-B none"}, here, ""},
		{"for elsewhere, there", plainSource, []string{"GOARCH=" + elsewhere.Arch}, elsewhere, ""},
		{"for elsewhere, here", plainSource, []string{"GOARCH=" + elsewhere.Arch}, here, WrongArchitecture},
		{"no build ID", plainSource, []string{"-ldflags=-buildid="}, here, Unverified},
		{"with C, no build ID", cgoSource, []string{"CGO_ENABLED=1", "-ldflags=-buildid="}, here, Unverified},
		{"a build ID chosen by hand", plainSource, []string{"-ldflags=-buildid=v1/mine"}, here, Unverified},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := verifyContent(t, buildProgram(t, test.source, test.settings...), test.on)
			checkKind(t, err, test.want)
		})
	}
	t.Run("the go command itself", func(t *testing.T) {
		path, err := exec.LookPath("go")
		if err != nil {
			t.Fatal(err)
		}
		proof, err := Verify(t.Context(), path, here)
		if err != nil {
			t.Fatal(err)
		}
		output, err := exec.CommandContext(t.Context(), "go", "tool", "buildid", path).Output()
		if err != nil || strings.TrimSpace(string(output)) != proof.BuildID {
			t.Errorf("the go command prints %q, %v; got %q", output, err, proof.BuildID)
		}
	})
	t.Run("stripped afterwards", func(t *testing.T) {
		path := writeFile(t, filepath.Join(t.TempDir(), "user"), buildProgram(t, plainSource), 0o755, testTime)
		if output, err := exec.CommandContext(t.Context(), "strip", path).CombinedOutput(); err != nil {
			t.Fatalf("strip: %v\n%s", err, output)
		}
		_, err := Verify(t.Context(), path, here)
		checkKind(t, err, Mixed)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, SumFilePath(path), fmt.Appendf(nil, "%x", sha256.Sum256(text)), 0o644, testTime)
		if proof, err := Verify(t.Context(), path, here); err != nil || proof.Method != MethodSHA256 {
			t.Errorf("with its checksum: %+v, %v", proof, err)
		}
	})
}
