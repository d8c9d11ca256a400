package sshdtest_test

import (
	"bytes"
	"context"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"pgo/deploy/pgo/internal/sshdtest"
)

func ssh(t *testing.T, s *sshdtest.Server, stdin io.Reader, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.Bin+"/ssh", args...)
	cmd.Stdin = stdin
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func TestSession(t *testing.T) {
	s := sshdtest.Start(t, "PGO_HOME=/some where/else")
	if out, err := ssh(t, s, nil, sshdtest.Host, `echo "$USER $PGO_HOME"`); err != nil || out != s.User+" /some where/else" {
		t.Errorf("%q, %v", out, err)
	}
	before, _ := s.Bytes()
	sent := bytes.Repeat([]byte("x"), 1<<20)
	if out, err := ssh(t, s, bytes.NewReader(sent), sshdtest.Host, "wc -c"); err != nil || out != "1048576" {
		t.Errorf("%q, %v", out, err)
	}
	if in, _ := s.Bytes(); in-before < 1<<20 || in-before > 2<<20 {
		t.Errorf("%d bytes were sent", in-before)
	}
}

func TestAuthorize(t *testing.T) {
	s := sshdtest.Start(t)
	s.Authorize("narrow", `restrict,command="echo only $SSH_ORIGINAL_COMMAND"`)
	if out, err := ssh(t, s, nil, "narrow", "cat /etc/shadow"); err != nil || out != "only cat /etc/shadow" {
		t.Errorf("%q, %v", out, err)
	}
	if out, err := ssh(t, s, nil, "-o", "IdentityFile=none", sshdtest.Host, "true"); err != nil {
		t.Errorf("the first key still logs in: %q, %v", out, err)
	}
}

func TestCut(t *testing.T) {
	s := sshdtest.Start(t)
	s.CutAfter(100_000)
	if out, err := ssh(t, s, bytes.NewReader(make([]byte, 1<<20)), sshdtest.Host, "wc -c"); err == nil {
		t.Errorf("the session was not cut: %q", out)
	}
	if out, err := ssh(t, s, nil, sshdtest.Host, "echo again"); err != nil || out != "again" {
		t.Errorf("%q, %v", out, err)
	}
}
