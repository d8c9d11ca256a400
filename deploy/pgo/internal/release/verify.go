package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Methods of a Verification.
const (
	MethodBuildID = "build-id"
	MethodSHA256  = "sha256"
)

// Verification records how a file was found to be whole.
type Verification struct {
	Method  string `json:"by"`
	BuildID string `json:"build_id,omitempty"` // set if Method is MethodBuildID
	SHA256  string `json:"sha256"`             // lowercase hex
	Size    int64  `json:"size"`
}

// Verify checks that the file is one whole program for the platform: by the hash in its Go build ID, or by a .sha256 beside it
// if it has no usable build ID (stripped after its build, not Go). A .sha256 with another sum overrules the build ID, unless
// it is older than the file: then it belongs to the previous release.
//
// Verify returns a *Refusal if the file could be read and must not run.
func Verify(ctx context.Context, path string, on Platform) (Verification, error) {
	f, info, err := openRegular(path)
	if err != nil {
		return Verification{}, wrapWithPath(path, err)
	}
	defer f.Close()
	sum, err := hashReader(ctx, f)
	if err != nil {
		return Verification{}, wrapWithPath(path, err)
	}
	c := verifyInput{content: content{f, info.Size()}, path: path, sum: sum, mode: info.Mode(), modTime: info.ModTime()}
	proof, err := c.verify(ctx, on.orHost())
	return proof, wrapWithPath(path, err)
}

// verifyInput is the content to verify. If it is a copy, the other fields describe the original.
type verifyInput struct {
	content      content
	path         string
	sum          string
	mode         fs.FileMode
	modTime      time.Time
	hasSenderSum bool // the sender has supplied the sum; there is no sum file
}

// readExpectedSum returns the sum that the content should have; nil if none is known.
func (c verifyInput) readExpectedSum() (*expectedSum, error) {
	if c.hasSenderSum {
		return &expectedSum{sum: c.sum, modTime: c.modTime}, nil
	}
	return readSumFile(c.path)
}

func (c verifyInput) verify(ctx context.Context, on Platform) (Verification, error) {
	if c.mode.Perm()&0o111 == 0 {
		return Verification{}, newRefusal(NotExecutable, "no one may execute it: chmod +x")
	}
	proof := Verification{Method: MethodSHA256, SHA256: c.sum, Size: c.content.size}
	head, err := c.content.readPart(0, uint64(min(c.content.size, 4<<10)))
	if err != nil {
		return Verification{}, err
	}
	expected, err := c.readExpectedSum()
	if err != nil {
		return Verification{}, err
	}
	switch {
	case len(head) == 0:
		return Verification{}, newRefusal(Incomplete, "it is empty")
	case bytes.HasPrefix(head, []byte("#!")):
		if err := expected.confirmInsteadOf(c, newRefusal(Unverified, "a script needs its SHA-256 beside it, in a file named like it with .sha256 at the end")); err != nil {
			return Verification{}, err
		}
		return proof, nil
	case detectForeignOS(head) != "":
		return Verification{}, newRefusal(WrongArchitecture, "it is a program for %s, and this is %s", detectForeignOS(head), on)
	case bytes.HasPrefix([]byte(elfMagic), head), len(bytes.Trim(head, "\x00")) == 0:
		return Verification{}, newRefusal(Incomplete, "it has no beginning yet")
	case !bytes.HasPrefix(head, []byte(elfMagic)):
		return Verification{}, newRefusal(NotExecutable, "it is not a program: neither ELF nor a script")
	}
	p, err := readProgram(c.content)
	if err != nil {
		return Verification{}, err
	}
	if err := p.checkPlatform(on); err != nil {
		return Verification{}, err
	}
	id, err := p.verifyBuildID(ctx, c.content)
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		err = expected.confirmInsteadOf(c, refusal)
	} else if err == nil {
		proof.Method, proof.BuildID = MethodBuildID, id
		err = expected.checkMismatch(c)
	}
	if err != nil {
		return Verification{}, err
	}
	return proof, checkBuildInfo(c.content, on)
}

// checkPlatform returns a *Refusal if the headers are not those of a program for the platform.
func (p *elfProgram) checkPlatform(on Platform) error {
	is := Platform{OS: p.goOS(), Arch: p.goArch()}
	if is.OS == "" {
		is.OS = on.OS
	}
	switch {
	case is != on:
		return newRefusal(WrongArchitecture, "it is built for %s, and this is %s", is, on)
	case p.file.Type != elf.ET_EXEC && p.file.Type != elf.ET_DYN || p.file.Entry == 0:
		return newRefusal(NotExecutable, "it is a library or a part of a program")
	}
	return nil
}

// checkBuildInfo checks the GOOS in Go's build information: some systems have no mark of their own in the headers.
func checkBuildInfo(c content, on Platform) error {
	info, err := buildinfo.Read(c)
	if err != nil {
		return nil // not Go
	}
	for _, s := range info.Settings {
		if s.Key == "GOOS" && s.Value != on.OS {
			return newRefusal(WrongArchitecture, "it is built for %s, and this is %s", s.Value, on)
		}
	}
	return nil
}

// CheckPlatform explains why the kernel would not execute a file: it returns a *Refusal if the file's headers are those of
// another platform, and nil if they do not tell. It reads no more than the headers.
func CheckPlatform(path string) error {
	f, info, err := openRegular(path)
	if err != nil {
		return wrapWithPath(path, err)
	}
	defer f.Close()
	c := content{f, info.Size()}
	head, err := c.readPart(0, uint64(min(c.size, 4<<10)))
	if err != nil {
		return wrapWithPath(path, err)
	}
	on := Platform{}.orHost()
	switch {
	case detectForeignOS(head) != "":
		return wrapWithPath(path, newRefusal(WrongArchitecture, "it is a program for %s, and this is %s", detectForeignOS(head), on))
	case !bytes.HasPrefix(head, []byte(elfMagic)):
		return nil
	}
	p, err := readProgram(c)
	if err == nil {
		err = p.checkPlatform(on)
	}
	return wrapWithPath(path, err)
}

// confirmInsteadOf returns nil if the checksum matches, in place of the failed build ID; otherwise why the file is refused.
func (s *expectedSum) confirmInsteadOf(c verifyInput, refusal *Refusal) error {
	switch {
	case s == nil:
		return refusal
	case s.sum == c.sum:
		return nil
	case refusal.Kind == Incomplete || s.isOlderThan(c):
		return refusal
	}
	return newRefusal(Mixed, "its SHA-256 is %s, and %s has %s", c.sum, SumFilePath(c.path), s.sum)
}

// checkMismatch returns a *Refusal if the checksum applies to this file and differs.
func (s *expectedSum) checkMismatch(c verifyInput) error {
	if s == nil || s.sum == c.sum || s.isOlderThan(c) {
		return nil
	}
	return newRefusal(Mixed, "it is whole, but not the one that %s names", SumFilePath(c.path))
}

func (s *expectedSum) isOlderThan(c verifyInput) bool { return s.modTime.Before(c.modTime) }

// openRegular opens a regular file for reading. It refuses other files without reading them: opening a FIFO would wait for a
// writer.
func openRegular(path string) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = newRefusal(NotExecutable, "it is not a regular file")
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// HashFile returns the SHA-256 of a regular file in lowercase hex.
func HashFile(ctx context.Context, path string) (string, error) {
	f, _, err := openRegular(path)
	if err != nil {
		return "", wrapWithPath(path, err)
	}
	defer f.Close()
	sum, err := hashReader(ctx, f)
	return sum, wrapWithPath(path, err)
}

// hashReader returns the SHA-256 of the rest of r.
func hashReader(ctx context.Context, r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.CopyBuffer(h, contextReader{ctx, r}, make([]byte, 256<<10)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// contextReader makes reads fail once its context has ended.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// wrapWithPath adds the path to an error; nil stays nil.
func wrapWithPath(path string, err error) error {
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return &Refusal{refusal.Kind, path, refusal.Why}
	}
	if err != nil {
		return fmt.Errorf("verify %s: %w", path, err)
	}
	return nil
}
