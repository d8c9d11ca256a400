// Package sshdtest gives tests a real SSH server on loopback, Debian's sshd, with keys of its own.
//
// The test program owns the listening port, so no one can take it in between, and forwards the bytes of each connection to an
// sshd of its own (sshd -i, as inetd starts it). So it can count them, and cut a connection where a test asks for that.
package sshdtest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Host is the name under which the client's configuration knows the server; Authorize adds more.
const Host = "target"

// Server is a running SSH server into which the user of the test can log in.
type Server struct {
	Port   int
	User   string // user who logs in: the one who runs the test
	Config string // the client's configuration: ssh -F Config target
	Bin    string // directory for the front of a PATH, whose ssh uses Config by itself

	t       testing.TB
	dir     string
	sshd    string
	env     map[string]string
	traffic traffic
}

// Start runs a server until the test ends. Its log is shown if the test fails. Each of env (NAME=value) is set in every session,
// as by a profile on a real host.
func Start(t testing.TB, env ...string) *Server {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{User: me.Username, t: t, dir: t.TempDir(), sshd: findProgram(t, "sshd"), env: map[string]string{}}
	s.Config, s.Bin = filepath.Join(s.dir, "ssh_config"), filepath.Join(s.dir, "bin")
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		s.env[name] = value
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Port = l.Addr().(*net.TCPAddr).Port

	s.generateKey("hostkey")
	hostkey := strings.Join(strings.Fields(s.readFile("hostkey.pub"))[:2], " ")
	s.writeFile("known_hosts", fmt.Sprintf("[127.0.0.1]:%d %s\n", s.Port, hostkey), 0o600)
	s.writeFile("authorized_keys", "", 0o600)
	s.writeFile("sshd_config", s.serverConfig(), 0o600)
	s.writeFile("ssh_config", "", 0o600)
	if err := os.Mkdir(s.Bin, 0o755); err != nil {
		t.Fatal(err)
	}
	s.writeFile("bin/ssh", fmt.Sprintf("#!/bin/sh\nexec %s -F %s \"$@\"\n", findProgram(t, "ssh"), s.Config), 0o755)
	s.Authorize(Host, "")
	if os.Geteuid() == 0 { // sshd of root confines itself there before a login
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.traffic.serve(s, l)
	t.Cleanup(func() {
		s.traffic.shutDown(l)
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(s.dir, "sshd.log"))
			t.Logf("sshd's log:\n%s", log)
		}
	})
	return s
}

// Authorize makes a key that may log in with the options of an authorized_keys line, for instance
// `restrict,command="pgo receive"`, and a host in the client's configuration that uses it.
func (s *Server) Authorize(host, options string) {
	s.t.Helper()
	key := "key-" + host
	s.generateKey(key)
	s.appendFile("authorized_keys", strings.TrimSpace(options+" "+s.readFile(key+".pub"))+"\n")
	s.appendFile("ssh_config", fmt.Sprintf(`Host %s
	HostName 127.0.0.1
	Port %d
	User %s
	IdentityFile %s
	IdentitiesOnly yes
	IdentityAgent none
	UserKnownHostsFile %s
	GlobalKnownHostsFile none
	StrictHostKeyChecking yes
	BatchMode yes
`, host, s.Port, s.User, filepath.Join(s.dir, key), filepath.Join(s.dir, "known_hosts")))
}

// serverConfig returns the configuration of sshd. It leaves out PAM, which takes root and is of no use for a key on loopback.
func (s *Server) serverConfig() string {
	var c strings.Builder
	fmt.Fprintf(&c, "HostKey %s\nAuthorizedKeysFile %s\n", filepath.Join(s.dir, "hostkey"), filepath.Join(s.dir, "authorized_keys"))
	c.WriteString(`StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
PrintMotd no
PrintLastLog no
PidFile none
UseDNS no
LogLevel VERBOSE
Subsystem sftp internal-sftp
`)
	if len(s.env) > 0 {
		c.WriteString("SetEnv")
		for name, value := range s.env {
			fmt.Fprintf(&c, " %s=%s", name, strconv.Quote(value))
		}
		c.WriteString("\n")
	}
	return c.String()
}

// generateKey makes an SSH key of that name in the directory of the server.
func (s *Server) generateKey(name string) {
	s.t.Helper()
	cmd := exec.Command(findProgram(s.t, "ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", filepath.Join(s.dir, name))
	if output, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("make the key %s: %v\n%s", name, err, bytes.TrimSpace(output))
	}
}

func (s *Server) writeFile(name, content string, mode os.FileMode) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), mode); err != nil {
		s.t.Fatal(err)
	}
}

func (s *Server) appendFile(name, content string) {
	s.t.Helper()
	s.writeFile(name, s.readFile(name)+content, 0o600)
}

func (s *Server) readFile(name string) string {
	s.t.Helper()
	content, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(content)
}

// findProgram returns the path of a program, also of one in /usr/sbin.
func findProgram(t testing.TB, program string) string {
	t.Helper()
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	if path, err := exec.LookPath("/usr/sbin/" + program); err == nil {
		return path
	}
	t.Fatalf("%s is not installed: bin/stack install --tests", program)
	return ""
}
