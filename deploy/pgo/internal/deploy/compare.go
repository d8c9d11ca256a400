package deploy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"pgo/deploy/pgo/internal/command"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/release"
	"pgo/deploy/pgo/internal/supervise"
)

// IsRebuilt reports whether a service or a gate runs another program than its file now holds: by content, so that
// building the same thing again changes nothing. Infra is left alone; what it runs is not ours.
func IsRebuilt(p *supervise.Process) bool {
	spec := p.Spec()
	if spec.Kind == processfile.KindInfra {
		return false
	}
	program, err := command.FindCommand(spec.Command, command.MergeEnv(p.Deps.Env, spec))
	if err != nil {
		return false // better the old one than none
	}
	for _, i := range p.Instances() {
		if k := i.Child(); k != nil {
			if same, err := equalContent(fmt.Sprintf("/proc/%d/exe", k.Handle.PID), program); err == nil && !same {
				return true
			}
		}
	}
	return false
}

// IsRedeployed reports whether the file of a watched process holds another program than what is to run, and not one that
// failed before.
func IsRedeployed(p *supervise.Process) bool {
	c, err := p.Program()
	spec := p.Spec()
	if err != nil || c.Path == "" || command.CheckExecutable(spec.Command) != nil {
		return false
	}
	if same, err := equalContent(c.Path, spec.Command); err != nil || same {
		return false
	}
	sum, err := release.HashFile(context.Background(), spec.Command)
	if err != nil {
		return false
	}
	r, err := p.Deps.Releases(spec).Find(p.Name, sum)
	return err != nil || r.Record.FailedAt == nil
}

// equalContent reports whether the program that runs is what the file holds. The program's own file may be deleted.
func equalContent(running, file string) (bool, error) {
	fa, err := os.Open(running)
	if err != nil {
		return false, err
	}
	defer fa.Close()
	fb, err := os.Open(file)
	if err != nil {
		return false, err
	}
	defer fb.Close()
	infoA, errA := fa.Stat()
	infoB, errB := fb.Stat()
	if err := errors.Join(errA, errB); err != nil {
		return false, err
	}
	if os.SameFile(infoA, infoB) {
		return true, nil // a program that runs cannot be written to
	}
	magic := make([]byte, 4)
	if _, err := fb.ReadAt(magic, 0); err != nil || string(magic) != "\x7fELF" {
		return true, nil // a script: what runs is its interpreter, which tells nothing
	}
	if infoA.Size() != infoB.Size() {
		return false, nil
	}
	const block = 256 << 10
	bufA, bufB := make([]byte, block), make([]byte, block)
	for {
		n, errA := io.ReadFull(fa, bufA)
		m, errB := io.ReadFull(fb, bufB)
		if !bytes.Equal(bufA[:n], bufB[:m]) {
			return false, nil
		}
		if errA != nil || errB != nil {
			endA := errors.Is(errA, io.EOF) || errors.Is(errA, io.ErrUnexpectedEOF)
			endB := errors.Is(errB, io.EOF) || errors.Is(errB, io.ErrUnexpectedEOF)
			if endA && endB {
				return true, nil
			}
			return false, errors.Join(errA, errB)
		}
	}
}
