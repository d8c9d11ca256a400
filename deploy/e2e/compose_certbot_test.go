//go:build compose

package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgo/pkg/testing/localserver"
)

// TestCertbotContainer has certbot's container get the gateway's certificate from Pebble, by http-01 through the gateway, and
// renew it when its minute is over.
func TestCertbotContainer(t *testing.T) {
	s := prepareStack(t, "docker")
	server := s.authorityOnThisMachine(t)
	for name, value := range map[string]string{
		"COMPOSE_PROFILES": "certbot", "PGO_CERTBOT_HOSTS": "api.example.org,www.example.org", "PGO_CERTBOT_EMAIL": "ops@example.org",
		"PGO_CERTBOT_SERVER": server + " --no-verify-ssl", // Pebble's own certificate is of nobody whom an image knows
	} {
		t.Setenv(name, value)
	}
	s.up()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("--- certbot\n%s", s.compose("logs", "--no-color", "--tail", "40", "certbot"))
		}
	})
	first := s.signedByPebble(t, nil)
	<-time.After(time.Until(first.NotAfter))
	s.compose("restart", "certbot") // it looks twice a day, and when it starts
	s.signedByPebble(t, first)
	if err := s.journey(); err != nil {
		t.Error(err)
	}
	s.up() // writes the gateway's files again
	s.signedByPebble(t, first)
}

// signedByPebble waits until the gateway serves a certificate of Pebble's that is not the one before.
func (s *stack) signedByPebble(t *testing.T, before *x509.Certificate) *x509.Certificate {
	t.Helper()
	var leaf *x509.Certificate
	s.eventually(t, "certbot's certificate is in force", func() error {
		conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", 8443+s.offset), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // who has signed it is looked at
		if err != nil {
			return err
		}
		defer conn.Close()
		leaf = conn.ConnectionState().PeerCertificates[0]
		if !strings.Contains(leaf.Issuer.CommonName, "Pebble") || leaf.Equal(before) {
			return fmt.Errorf("it serves number %s of %s", leaf.SerialNumber, leaf.Issuer)
		}
		return leaf.VerifyHostname("www.example.org")
	})
	return leaf
}

// authorityOnThisMachine starts Pebble where containers reach it, and a name server that knows every name as this machine. Pebble
// asks for what certbot puts there at the gateway's published port.
func (s *stack) authorityOnThisMachine(t *testing.T) (directory string) {
	t.Helper()
	ports, err := localserver.FindFreePorts(4)
	if err != nil {
		t.Fatal(err)
	}
	address := outward(t)
	dir := t.TempDir()
	certs := exec.Command(filepath.Join(s.root, "bin", "stack"), "certs", address)
	certs.Dir, certs.Env = s.root, append(os.Environ(), "PGO_HOME="+filepath.Join(dir, "authority"))
	if out, err := certs.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	api := net.JoinHostPort(address, strconv.Itoa(ports[0]))
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": api, "managementListenAddress": fmt.Sprintf("127.0.0.1:%d", ports[1]),
		"httpPort": 8080 + s.offset, "tlsPort": 8443 + s.offset,
		"certificate": filepath.Join(dir, "authority", "certs", "gateway.crt"), "privateKey": filepath.Join(dir, "authority", "certs", "gateway.key"),
		"profiles": map[string]any{"default": map[string]any{"description": "a minute", "validityPeriod": 60}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pebble.json"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	dns := fmt.Sprintf("127.0.0.1:%d", ports[2])
	s.beside(t, dir, "pebble-challtestsrv", "-dnsserver", dns, "-management", fmt.Sprintf("127.0.0.1:%d", ports[3]), "-http01", "", "-https01", "", "-tlsalpn01", "",
		"-doh", "", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "")
	s.beside(t, dir, "pebble", "-config", filepath.Join(dir, "pebble.json"), "-dnsserver", dns, "-strict")
	return "https://" + api + "/dir"
}

// beside builds a program that deploy/tools pins, and runs it until the test ends.
func (s *stack) beside(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	program := filepath.Join(dir, name)
	build := exec.Command("go", "build", "-o", program, "github.com/letsencrypt/pebble/v2/cmd/"+name)
	build.Dir, build.Env = filepath.Join(s.root, "deploy", "tools"), append(os.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	var said shared
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "PEBBLE_VA_NOSLEEP=1")
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if text := said.String(); t.Failed() {
			t.Logf("--- %s\n%s", name, text[max(0, len(text)-3000):])
		}
	})
}
