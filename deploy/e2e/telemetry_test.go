//go:build telemetry

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

var (
	loadFor = flag.Duration("load.for", 5*time.Minute, "how long there is load")
	rate    = flag.Int("load.rate", 200, "requests a second")
	rounds  = flag.Int("load.rounds", 5, "rounds of measuring throughput, each on both stacks")
	round   = flag.Duration("load.round", 20*time.Second, "how long a round is")
)

// TestTelemetry prints what telemetry costs: at a steady load what it takes, and at full load what it leaves. Two stacks run side by
// side, with all of it and with none (no scrape, no span, no line below errors), and take turns, so that what else the machine does
// meets both. With a collector on the PATH, and Loki and Jaeger, these run too; without, a stub takes the spans. The numbers are printed, not asserted: they are
// the machine's.
func TestTelemetry(t *testing.T) {
	spans := newSpanSink(t)
	endpoint := spans.URL
	if _, err := exec.LookPath("otelcol-contrib"); err == nil {
		endpoint = "" // make up finds it
		t.Log("with Loki, Jaeger and the collector where they are on the PATH")
	}
	t.Setenv("PGO_TRACING_ENDPOINT", endpoint)
	on := newStack(t)
	t.Setenv("PGO_TRACING_ENDPOINT", "off")
	t.Setenv("PGO_CFG_LOG__LEVEL", "error")
	off := newStack(t)
	off.must("pgo", append([]string{"stop"}, monitoringParts...)...)

	people := map[*stack]person{on: on.newPerson(t, "Ada"), off: off.newPerson(t, "Ada")}
	for _, s := range []*stack{on, off} {
		s.newSchool(t, people[s])
	}
	steady(t, on, people[on], spans)

	var with, without measured
	for i := range *rounds {
		for _, s := range []*stack{on, off} {
			if i%2 == 1 { // neither is always the first
				s = map[*stack]*stack{on: off, off: on}[s]
			}
			p := people[s]
			s.signIn(t, &p)
			if s == on {
				with.add(t, s, p)
			} else {
				without.add(t, s, p)
			}
		}
	}
	a, b := median(with.rates), median(without.rates)
	t.Logf("throughput, median of %d rounds of %v: %.0f/s with telemetry (%.0f), %.0f/s without (%.0f): overhead %.1f %%",
		*rounds, *round, a, with.rates, b, without.rates, 100*(b-a)/b)
	a, b = median(with.costs), median(without.costs)
	t.Logf("processor time of the whole stack, median: %.0f us a request with telemetry (%.0f), %.0f us without (%.0f): %.1f %% more",
		a, with.costs, b, without.costs, 100*(a-b)/b)
	for _, part := range slices.Sorted(maps.Keys(with.parts)) {
		t.Logf("%-16s %5.0f us a request with, %5.0f us without", part, with.parts[part]/with.done*1e6, without.parts[part]/without.done*1e6)
	}
}

// measured holds the results of the rounds on one stack.
type measured struct {
	rates, costs []float64 // requests a second; microseconds of a processor a request
	parts        map[string]float64
	done         float64
}

func (m *measured) add(t *testing.T, s *stack, who person) {
	before := processCPU(t, s)
	rate := throughput(t, s, who)
	done, sum := rate*round.Seconds(), 0.0
	if m.parts == nil {
		m.parts = map[string]float64{}
	}
	for part, after := range processCPU(t, s) {
		m.parts[part] += after - before[part]
		sum += after - before[part]
	}
	m.rates, m.costs, m.done = append(m.rates, rate), append(m.costs, sum/done*1e6), m.done+done
}

var monitoringParts = []string{"prometheus", "alertmanager", "wecom", "node-exporter", "mysqld-exporter", "redis-exporter", "nginx-exporter", "loki", "jaeger", "otelcol", "grafana"}

// steady asks *rate times a second for *loadFor and prints what that took.
func steady(t *testing.T, s *stack, who person, spans *spanSink) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 20 * time.Second}
	logs, cpu := dirSize(t, filepath.Join(s.home, "logs")), processCPU(t, s)
	bytes, began := spans.bytes.Load(), time.Now()
	var all asked
	var calls sync.WaitGroup
	tick := time.NewTicker(time.Second / time.Duration(*rate))
	defer tick.Stop()
	signed, slots := time.Now(), make(chan struct{}, 256)
	for n := 0; time.Since(began) < *loadFor; n++ {
		<-tick.C
		if time.Since(signed) > 5*time.Minute { // a token lives for fifteen
			s.signIn(t, &who)
			signed = time.Now()
		}
		slots <- struct{}{}
		target, token := s.url(askedFor[n%len(askedFor)].path), who.token
		calls.Go(func() {
			defer func() { <-slots }()
			all.ask(client, target, token)
		})
	}
	calls.Wait()
	took := time.Since(began).Seconds()
	done := float64(all.done.Load())
	failed, how := all.failures()
	t.Logf("%v at %d/s asked: %.0f/s answered, %d failed %v", *loadFor, *rate, done/took, failed, how)
	t.Logf("series in Prometheus: %s", metric(t, s, 9090, "prometheus_tsdb_head_series"))
	t.Logf("logs: %d bytes, %.0f a request", dirSize(t, filepath.Join(s.home, "logs"))-logs, float64(dirSize(t, filepath.Join(s.home, "logs"))-logs)/done)
	t.Logf("traces: %d bytes in %d posts, %.1f a request, at the default ratio", spans.bytes.Load()-bytes, spans.posts.Load(), float64(spans.bytes.Load()-bytes)/done)
	for _, part := range []string{"prometheus", "loki", "jaeger"} {
		t.Logf("on disk of %s: %d bytes", part, dirSize(t, filepath.Join(s.home, "data", part)))
	}
	if _, err := exec.LookPath("otelcol-contrib"); err == nil {
		for _, name := range []string{"otelcol_receiver_accepted_spans_total", "otelcol_exporter_sent_spans_total", "otelcol_exporter_sent_log_records_total"} {
			t.Logf("%s", scraped(t, s, 8888, name))
		}
		t.Logf("lines of the gateway in Loki: %s", linesInLoki(t, s, time.Since(began)))
		for _, name := range []string{"loki_distributor_bytes_received_total", "loki_distributor_lines_received_total", "loki_ingester_memory_streams"} {
			t.Logf("%s", scraped(t, s, 3100, name))
		}
	}
	after := processCPU(t, s)
	for _, part := range append([]string{"user", "school", "task"}, monitoringParts...) {
		t.Logf("%-16s %6.1f MiB, %5.2f %% of a processor", part, processMemory(t, s, part)/(1<<20), 100*(after[part]-cpu[part])/took)
	}
}

// linesInLoki is how many lines of the gateway's Loki has, once the collector has had time to bring the last of them.
func linesInLoki(t *testing.T, s *stack, during time.Duration) string {
	t.Helper()
	count, before := "", "-"
	for range 20 {
		query := url.Values{"query": {fmt.Sprintf(`sum(count_over_time({service_name="gateway"} |= "/api/v1/" [%ds]))`, int(during.Seconds())+60)}}
		res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/loki/api/v1/query?%s", 3100+s.offset, query.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Data struct {
				Result []struct {
					Value [2]any `json:"value"`
				} `json:"result"`
			} `json:"data"`
		}
		err = json.NewDecoder(res.Body).Decode(&got)
		res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Data.Result) == 1 {
			count = fmt.Sprint(got.Data.Result[0].Value[1])
		}
		if count == before {
			break
		}
		before = count
		time.Sleep(3 * time.Second)
	}
	return count
}

// throughput asks as fast as 16 callers can, past the gateway, which has limits of its own.
func throughput(t *testing.T, s *stack, who person) float64 {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 20 * time.Second}
	ctx, cancel := context.WithTimeout(t.Context(), *round)
	defer cancel()
	var all asked
	var callers sync.WaitGroup
	for i := range 16 {
		callers.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				p := askedFor[n%len(askedFor)]
				all.ask(client, fmt.Sprintf("http://127.0.0.1:%d%s", p.port+s.offset, p.path), who.token)
			}
		})
	}
	callers.Wait()
	if failed, how := all.failures(); failed > 0 {
		t.Errorf("%d requests failed: %v", failed, how)
	}
	return float64(all.done.Load()) / round.Seconds()
}

// spanSink stands for the collector and counts what it is sent.
type spanSink struct {
	*httptest.Server
	bytes, posts atomic.Int64
}

func newSpanSink(t *testing.T) *spanSink {
	t.Helper()
	s := &spanSink{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		s.bytes.Add(n)
		s.posts.Add(1)
	}))
	t.Cleanup(s.Close)
	return s
}

// dirSize returns the disk space of the files in a directory.
func dirSize(t *testing.T, dir string) int64 {
	t.Helper()
	var size int64
	err := filepath.WalkDir(dir, func(_ string, entry os.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // compacted away
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // compacted away
		}
		if err == nil {
			size += min(info.Size(), info.Sys().(*syscall.Stat_t).Blocks*512) // some are mostly holes
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return size
}

func metric(t *testing.T, s *stack, port int, name string) string {
	t.Helper()
	for _, line := range scraped(t, s, port, name+" ") {
		return strings.TrimPrefix(line, name+" ")
	}
	t.Fatalf("no metric %s", name)
	return ""
}

// byProcess is a metric of pgo's by the process's name.
func byProcess(t *testing.T, s *stack, name string) map[string]float64 {
	t.Helper()
	values := map[string]float64{}
	for _, line := range scraped(t, s, 9900, name+"{") {
		_, after, _ := strings.Cut(line, `name="`)
		process, _, _ := strings.Cut(after, `"`)
		value, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err != nil {
			t.Fatal(err)
		}
		values[process] += value
	}
	return values
}

// processCPU is the processor time of each process, and of pgo itself.
func processCPU(t *testing.T, s *stack) map[string]float64 {
	t.Helper()
	values := byProcess(t, s, "pgo_process_cpu_seconds_total")
	for _, line := range scraped(t, s, 9900, "pgo_manager_cpu_seconds_total{") {
		value, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err != nil {
			t.Fatal(err)
		}
		values["pgo"] += value
	}
	return values
}

func processMemory(t *testing.T, s *stack, name string) float64 {
	t.Helper()
	return byProcess(t, s, "pgo_process_resident_memory_bytes")[name]
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
