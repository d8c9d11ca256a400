package deploy

import (
	"context"
	"fmt"

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
			if same, err := release.EqualContent(fmt.Sprintf("/proc/%d/exe", k.Handle.PID), program); err == nil && !same {
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
	if same, err := release.EqualContent(c.Path, spec.Command); err != nil || same {
		return false
	}
	sum, err := release.HashFile(context.Background(), spec.Command)
	if err != nil {
		return false
	}
	r, err := p.Deps.Releases(spec).Find(p.Name, sum)
	return err != nil || r.Record.FailedAt == nil
}
