//go:build compose

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestComposeFigures prints what docs/compose.md says of time and memory: `make compose-figures`. Images have to be there.
func TestComposeFigures(t *testing.T) {
	s := prepareStack(t, "docker")
	timed := func(what string) {
		began := time.Now()
		s.up()
		fmt.Printf("| %s | %s |\n", what, time.Since(began).Round(time.Second))
	}
	fmt.Println("\n| `make up`, without building | takes |\n| --- | --- |")
	timed("the first, which sets MySQL and RabbitMQ up")
	timed("on a stack that runs")
	if _, err := s.command("stack", "down"); err != nil {
		t.Fatal(err)
	}
	timed("after `make down`")
	if err := s.journey(); err != nil {
		t.Fatal(err)
	}
	fmt.Println("\n| container | memory, idle |\n| --- | --- |")
	total := 0.0
	for _, part := range parts() {
		used, _, _ := strings.Cut(s.docker("stats", "--no-stream", "--format", "{{.MemUsage}}", s.inspect(part).ID), " ")
		var n float64
		var unit string
		if _, err := fmt.Sscanf(used, "%f%s", &n, &unit); err != nil {
			t.Fatalf("docker stats says %q: %v", used, err)
		}
		mib := map[string]float64{"KiB": 1.0 / 1024, "MiB": 1, "GiB": 1024}[unit] * n
		total += mib
		fmt.Printf("| %s | %.0f MiB |\n", part, mib)
	}
	fmt.Printf("| all | %.0f MiB |\n", total)
}
