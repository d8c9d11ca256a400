package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgo/deploy/stack/internal/certs"
	"pgo/deploy/stack/internal/checkout"
	"pgo/pkg/testing/localserver"
)

// The gateway and certbot run as in their containers, with Pebble as the authority: certbot gets a certificate by http-01
// through the gateway and renews it, and the gateway uses each one without dropping a connection.
func TestCertbotIssuesAndRenewsCertificate(t *testing.T) {
	if testing.Short() {
		t.Skip("runs certbot several times")
	}
	if _, err := exec.LookPath("certbot"); err != nil {
		t.Fatalf("%v (package certbot)", err)
	}
	ports, err := localserver.FindFreePorts(7)
	if err != nil {
		t.Fatal(err)
	}
	addr := func(n int) string { return fmt.Sprintf("127.0.0.1:%d", ports[n]) }
	gatewayHTTP, gatewayHTTPS, api, management, dns, dnsManagement := addr(0), addr(1), addr(2), addr(3), addr(4), addr(5)
	dir := t.TempDir()

	// The gateway starts with a development certificate.
	etc, webroot := filepath.Join(dir, "gateway"), filepath.Join(dir, "acme")
	if err := os.MkdirAll(webroot, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := certs.Ensure(filepath.Join(etc, "certs"), certs.DefaultHosts(), time.Now()); err != nil {
		t.Fatal(err)
	}
	program, err := localserver.HostPrograms().Nginx()
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Root: repositoryRoot(t), Out: etc, Etc: etc, Data: etc, HTML: filepath.Join(repositoryRoot(t), "deploy", "nginx", "html"), ACME: webroot,
		HTTP: gatewayHTTP, Status: addr(6), Limits: DefaultLimits(), Upstreams: map[string]Upstream{"bootcheck": {Servers: []string{startBackend(t, "bootcheck")}}},
		TLS: TLS{
			Addr: gatewayHTTPS, Certificate: filepath.Join(etc, "certs", certs.Certificate), Key: filepath.Join(etc, "certs", certs.Key),
		},
		Version: nginxVersion(context.Background(), program),
	}
	for _, s := range checkout.Services() {
		o.Upstreams[s.Name] = Upstream{Servers: []string{startBackend(t, s.Name)}}
	}
	if os.Geteuid() == 0 {
		o.User = "root"
	}
	if err := WriteConfig(o); err != nil {
		t.Fatal(err)
	}
	script := func(name string) string { return filepath.Join(o.Root, "deploy", "compose", name, "run.sh") }
	background(t, dir, "gateway", []string{"GATEWAY_ETC=" + etc, "GATEWAY_LOOK_EVERY=0.2", "PATH=" + filepath.Dir(program) + ":" + os.Getenv("PATH")}, "sh", script("gateway"))
	first := served(t, gatewayHTTPS, func(c *tls.ConnectionState) bool { return true })

	// The authority's certificates are due for renewal at once: they last a week, and certbot renews 30 days before.
	apiCerts := filepath.Join(dir, "authority")
	if _, err := certs.Ensure(apiCerts, certs.DefaultHosts(), time.Now()); err != nil {
		t.Fatal(err)
	}
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": api, "managementListenAddress": management, "httpPort": ports[0], "tlsPort": ports[1],
		"certificate": filepath.Join(apiCerts, certs.Certificate), "privateKey": filepath.Join(apiCerts, certs.Key),
		"profiles": map[string]any{"default": map[string]any{"description": "a week", "validityPeriod": 7 * 24 * 3600}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pebble.json"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	background(t, dir, "dns", nil, tool(t, dir, "pebble-challtestsrv"), "-dnsserver", dns, "-management", dnsManagement, "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "",
		"-defaultIPv4", "127.0.0.1", "-defaultIPv6", "")
	background(t, dir, "pebble", []string{"PEBBLE_VA_NOSLEEP=1"}, tool(t, dir, "pebble"), "-config", filepath.Join(dir, "pebble.json"), "-dnsserver", dns, "-strict")

	// A connection that is opened before; every renewal has to leave it alone.
	kept := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxConnsPerHost: 1, IdleConnTimeout: time.Minute}}
	// A POST gets its own connection if an old nginx may close an idle connection as the request arrives.
	posts := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: o.Version < versionKeepaliveMin}}
	background(t, dir, "certbot", []string{
		"PGO_CERTBOT_HOSTS=api.example.org,www.example.org", "PGO_CERTBOT_EMAIL=ops@example.org", "CERTBOT_STATE=" + filepath.Join(dir, "letsencrypt"),
		"CERTBOT_WEBROOT=" + webroot, "CERTBOT_TARGET=" + filepath.Join(etc, "certs"), "CERTBOT_EVERY=1", "CERTBOT_AGAIN=1",
		"CERTBOT_ARGS=--server https://" + api + "/dir", "REQUESTS_CA_BUNDLE=" + filepath.Join(apiCerts, certs.Authority),
	}, "sh", script("certbot"))
	serials := map[string]bool{first: true}
	for n := range 3 {
		serial := served(t, gatewayHTTPS, func(c *tls.ConnectionState) bool {
			leaf := c.PeerCertificates[0]
			if err := checkOK(posts.Post("http://"+gatewayHTTP+"/api/v1/auth/login", "application/json", strings.NewReader("{}"))); err != nil {
				t.Errorf("a POST during a renewal: %v", err)
			}
			if err := checkOK(kept.Get("http://" + gatewayHTTP + "/api/v1/users/me")); err != nil {
				t.Errorf("on a kept connection: %v", err)
			}
			return strings.Contains(leaf.Issuer.CommonName, "Pebble") && !serials[leaf.SerialNumber.String()] &&
				leaf.VerifyHostname("api.example.org") == nil && leaf.VerifyHostname("www.example.org") == nil
		})
		t.Logf("certificate %d of the authority is in force: %s", n+1, serial)
		serials[serial] = true
	}
}

// checkOK returns an error unless the response has status 200.
func checkOK(res *http.Response, err error) error {
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	return nil
}

// served waits until the gateway serves a certificate that the test accepts, and returns its serial number.
func served(t *testing.T, addr string, counts func(*tls.ConnectionState) bool) string {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the test checks the issuer
		if err == nil {
			state := conn.ConnectionState()
			conn.Close()
			if counts(&state) {
				return state.PeerCertificates[0].SerialNumber.String()
			}
			err = fmt.Errorf("it serves a certificate of %s", state.PeerCertificates[0].Issuer)
		}
		if time.Now().After(deadline) {
			t.Fatalf("the certificate is not served: %v", err)
		}
	}
}

// background runs a program until the test ends, and shows what it said when the test failed.
func background(t *testing.T, dir, name string, env []string, program string, args ...string) {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL} // what a script has started goes with it
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if text := said.Bytes(); t.Failed() {
			t.Logf("--- %s\n%s", name, text[max(0, len(text)-6000):])
		}
	})
}

// tool builds a program that deploy/tools pins.
func tool(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	cmd := exec.Command("go", "build", "-o", path, "github.com/letsencrypt/pebble/v2/cmd/"+name)
	cmd.Dir, cmd.Env = filepath.Join(repositoryRoot(t), "deploy", "tools"), append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	return path
}
