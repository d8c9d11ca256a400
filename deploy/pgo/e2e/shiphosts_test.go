package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a login shell prints before pgo receive is skipped, and named in full where nothing else comes.
func TestShipThroughABanner(t *testing.T) {
	t.Parallel()
	h := newDeployHost(t)
	for _, service := range deployedServices {
		h.putBuild(service, "v2")
	}
	reach := func(name, script string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const banner = `echo "Welcome to alpha"; echo "made of clay"`
	h.sandbox.assertFails(exitUnavailable, []string{`in place of pgo receive the host printed "Welcome to alpha\nmade of clay"`},
		"deploy", "--to", "ci", "--from", h.from, "--ssh", reach("closed", banner))
	out := h.sandbox.mustRun("deploy", "--to", "ci", "--from", h.from, "--ssh",
		reach("banner", banner+fmt.Sprintf("; exec ssh -T -F %q \"$@\"", h.sshd.Config)))
	if !strings.Contains(out, `ci: skipped what its login shell printed: "Welcome to alpha\nmade of clay\n"`) {
		t.Errorf("it printed\n%s", out)
	}
	h.awaitRelease("v2", deployedServices...)
}

// Names that the host does not have leave no line in the audit log.
func TestShipOfTypos(t *testing.T) {
	t.Parallel()
	h := newDeployHost(t)
	h.sandbox.assertFails(exitFailed, []string{`the host has no process "aplha" that can be deployed; it has alpha, beta, gamma`}, h.deployArgs("aplha")...)
	h.sandbox.assertFails(exitRefused, []string{`there is no process "aplha"`}, h.remoteArgs("rollback", "aplha")...)
	if all := h.readAuditLog(); len(all) != 0 {
		t.Errorf("the audit log has %+v", all)
	}
}

// Several hosts are all checked before the first is deployed.
func TestShipToSeveralHosts(t *testing.T) {
	t.Parallel()
	h := newDeployHost(t)
	for _, service := range deployedServices {
		h.putBuild(service, "v2")
	}
	toTwo := func(args ...string) []string {
		return append(args, "--to", "ci,nohost.invalid", "--ssh", "ssh -T -o ConnectTimeout=5 -F "+h.sshd.Config)
	}
	const untouched = "nothing was done with any host"
	h.sandbox.assertFails(exitUnavailable, []string{"ci  checked", "nohost.invalid: ", untouched}, toTwo("deploy", "--from", h.from)...)
	h.sandbox.assertFails(exitUnavailable, []string{"nohost.invalid: ", untouched}, toTwo("rollback")...)
	h.awaitRelease("v1", deployedServices...)
	if all := h.readAuditLog(); len(all) != 0 {
		t.Errorf("the audit log has %+v", all)
	}
}
