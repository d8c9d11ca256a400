//go:build compose

package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// scan looks at every port of every container from every other one, and from this machine, and compares what it
// finds with the table in docs/security.md.
func scan(t *testing.T, s *stack) {
	rows := []string{"| from | reaches |", "| --- | --- |"}
	for _, from := range parts() {
		var reached []string
		for _, to := range parts() {
			if from == to {
				continue
			}
			for _, port := range s.open(from, to) {
				reached = append(reached, fmt.Sprintf("%s:%d", to, port))
			}
		}
		if s.reachesMachine(from) {
			reached = append(reached, "this machine")
		}
		if s.reachesOutside(from) {
			reached = append(reached, "the outside")
		}
		rows = append(rows, fmt.Sprintf("| %s | %s |", from, strings.Join(reached, ", ")))
	}
	rows = append(rows, fmt.Sprintf("| this machine's loopback | %s |", strings.Join(s.published(t), ", ")))
	rows = append(rows, "| another machine | "+s.fromElsewhere(t)+" |")
	assertTable(t, s, rows)
}

// open lists the ports of a container that another can reach, by name where it has one there, else by its addresses.
func (s *stack) open(from, to string) []int {
	s.t.Helper()
	source, target := s.inspect(from), s.inspect(to)
	shared := false
	for network := range source.NetworkSettings.Networks {
		_, there := target.NetworkSettings.Networks[network]
		shared = shared || there
	}
	var ports []int
	if shared {
		for _, line := range strings.Fields(s.compose("exec", "-T", from, probePath(from), "scan", to)) {
			if port, err := strconv.Atoi(line); err == nil {
				ports = append(ports, port)
			}
		}
		return ports
	}
	if _, err := s.command("stack", "compose", "exec", "-T", from, probePath(from), "tcp", to+":1"); err == nil {
		s.t.Errorf("%s knows the name %s", from, to)
	}
	// Packets are dropped there, so only what serves is tried.
	for _, network := range target.NetworkSettings.Networks {
		for _, port := range serving(to) {
			addr := net.JoinHostPort(network.IPAddress, strconv.Itoa(port))
			if _, err := s.command("stack", "compose", "exec", "-T", from, probePath(from), "tcp", addr); err == nil {
				ports = append(ports, port)
			}
		}
	}
	return ports
}

func serving(part string) []int {
	return map[string][]int{"mysql": {3306}, "redis": {6379}, "rabbitmq": {5672, 15672}, "runtime": {8081, 8082, 8083, 8090}, "gateway": {8080, 8443}}[part]
}

// probePath is where the probe is: in the runtime's image, and mounted elsewhere.
func probePath(part string) string {
	if part == "runtime" {
		return "/usr/local/bin/probe"
	}
	return "/opt/pgo/probe"
}

// reachesOutside tells whether a container is on a network that the engine lets out. Trying is no proof: what answers
// for the world differs by where this runs.
func (s *stack) reachesOutside(from string) bool {
	s.t.Helper()
	for network := range s.inspect(from).NetworkSettings.Networks {
		if s.docker("network", "inspect", "--format", "{{.Internal}}", network) == "false" {
			return true
		}
	}
	return false
}

// reachesMachine tells whether a container reaches what listens on all addresses of this machine, by any of them.
func (s *stack) reachesMachine(from string) bool {
	s.t.Helper()
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		s.t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	addresses := []string{outward(s.t)}
	for _, network := range s.inspect(from).NetworkSettings.Networks {
		ip := net.ParseIP(network.IPAddress).To4()
		ip[3] = 1 // the bridge's own
		addresses = append(addresses, ip.String())
	}
	return slices.ContainsFunc(addresses, func(address string) bool {
		_, err := s.command("stack", "compose", "exec", "-T", from, probePath(from), "tcp", net.JoinHostPort(address, port))
		return err == nil
	})
}

// outward is this machine's address towards the world.
func outward(t testing.TB) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		if i.Flags&net.FlagLoopback != 0 || strings.HasPrefix(i.Name, "docker") || strings.HasPrefix(i.Name, "br-") || strings.HasPrefix(i.Name, "veth") {
			continue
		}
		list, err := i.Addrs()
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range list {
			if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil {
				return ip.IP.String()
			}
		}
	}
	t.Fatalf("this machine has no address towards the world: %v", addrs)
	return ""
}

// published lists what this machine takes on loopback for the containers, under the number without the offset.
func (s *stack) published(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, part := range parts() {
		for _, bindings := range s.inspect(part).NetworkSettings.Ports {
			for _, b := range bindings {
				port, err := strconv.Atoi(b.HostPort)
				if err != nil {
					t.Fatal(err)
				}
				if b.HostIP != "127.0.0.1" {
					t.Errorf("%s is published on %s:%d", part, b.HostIP, port)
				}
				found = append(found, fmt.Sprintf("%s:%d", part, port-s.offset))
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// fromElsewhere tries what is published under this machine's outward address.
func (s *stack) fromElsewhere(t *testing.T) string {
	t.Helper()
	var found []string
	for _, port := range []int{8080, 8443, 8081, 8082, 8083, 8090, 3306, 6379, 5672, 15672} {
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(outward(t), strconv.Itoa(port+s.offset)), time.Second)
		if err == nil {
			conn.Close()
			found = append(found, strconv.Itoa(port))
		}
	}
	if len(found) == 0 {
		return "nothing, until PGO_BIND says otherwise: then the gateway"
	}
	return strings.Join(found, ", ")
}

// whoRuns compares what every container may do with the table in docs/security.md.
func whoRuns(t *testing.T, s *stack) {
	rows := []string{"| part | root? | may besides | root file system |", "| --- | --- | --- | --- |"}
	for _, part := range parts() {
		c := s.inspect(part)
		status := processStatus(t, c.State.Pid)
		root := "no"
		if strings.Fields(status["Uid"])[1] == "0" {
			root = "yes"
		}
		if status["NoNewPrivs"] != "1" || status["CapEff"] != "0000000000000000" || c.HostConfig.Privileged {
			t.Errorf("%s: no new privileges %s, capabilities %s, privileged %v", part, status["NoNewPrivs"], status["CapEff"], c.HostConfig.Privileged)
		}
		if !slices.Equal(c.HostConfig.CapDrop, []string{"ALL"}) {
			t.Errorf("%s drops only %v", part, c.HostConfig.CapDrop)
		}
		limits := c.HostConfig.LogConfig.Config
		if c.HostConfig.Memory == 0 || c.HostConfig.NanoCpus == 0 || c.HostConfig.PidsLimit == 0 || limits["max-size"] == "" || limits["max-file"] == "" {
			t.Errorf("%s has no limit of memory, processors, processes or logs: %+v", part, c.HostConfig)
		}
		if c.HostConfig.RestartPolicy.Name != "unless-stopped" {
			t.Errorf("%s is not started again: %s", part, c.HostConfig.RestartPolicy.Name)
		}
		added := "nothing"
		if len(c.HostConfig.CapAdd) > 0 {
			names := slices.Clone(c.HostConfig.CapAdd)
			for i, name := range names {
				names[i] = strings.TrimPrefix(name, "CAP_")
			}
			slices.Sort(names)
			added = "start with " + strings.Join(names, ", ")
		}
		fileSystem := "writable"
		if c.HostConfig.ReadonlyRootfs {
			fileSystem = "read-only"
		}
		rows = append(rows, fmt.Sprintf("| %s | %s | %s | %s |", part, root, added, fileSystem))
	}
	assertTable(t, s, rows)
}

func processStatus(t *testing.T, pid int) map[string]string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.TrimSpace(value)
	}
	return fields
}

func assertTable(t *testing.T, s *stack, rows []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.root, "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	if table := strings.Join(rows, "\n"); !strings.Contains(string(text), "\n"+table+"\n\n") {
		t.Errorf("docs/security.md says something else than:\n%s", table)
	}
}
