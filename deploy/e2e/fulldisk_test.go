//go:build collected

package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestFullDisk: with the disks of Loki, Jaeger and Prometheus full, no request fails, the alerts still reach Alertmanager, and once
// there is room again all three go on by themselves. Each has a small file system of its own, so it takes root.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("only root may mount a file system to fill")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PROMETHEUS_RULES", shortRules(t, root))
	t.Setenv("SCRAPE_INTERVAL", "2s")
	t.Setenv("GROUP_WAIT", "1s")
	disks := map[string]string{}
	c := newCollected(t, func(s *stack) {
		s.must("stack", "prepare")
		for _, part := range []string{"loki", "jaeger", "prometheus"} {
			dir := filepath.Join(s.home, "data", part)
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			// Prometheus and Jaeger reserve room for their files.
			if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=512m,mode=0700"); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := syscall.Unmount(dir, 0); err != nil {
					t.Errorf("unmount %s: %v", dir, err)
				}
			})
			disks[part] = dir
		}
	})
	t.Cleanup(c.down) // before the disks go

	who := c.newPerson(t, "Ada")
	load := c.underLoad(t, who)
	c.sees(t, "before")

	fillers := map[string]string{}
	for part, dir := range disks {
		fillers[part] = fillUp(t, dir)
	}
	filled := time.Now()
	said := c.say(t, 20)
	eventually(t, "Prometheus notices that it cannot write", func() error {
		return c.above("prometheus_tsdb_wal_writes_failed_total", 0)
	})
	for _, alert := range []string{"MonitoringStorageFailing", "Watchdog"} {
		eventually(t, alert+" reaches Alertmanager", func() error {
			var alerts []struct {
				Updated time.Time `json:"updatedAt"`
			}
			if err := c.ask("ALERTMANAGER_HTTP", "/api/v2/alerts", url.Values{"filter": {fmt.Sprintf("alertname=%q", alert)}}, &alerts); err != nil {
				return err
			}
			for _, a := range alerts {
				if a.Updated.After(filled) {
					return nil
				}
			}
			return fmt.Errorf("%+v", alerts)
		})
	}
	t.Logf("while full: Loki %s", c.state("LOKI_HTTP", "/ready"))
	t.Logf("while full: Prometheus %s", c.state("PROMETHEUS_HTTP", "/-/ready"))
	if failed, how := load.failures(); failed > 0 {
		t.Errorf("%d of %d requests failed while the disks were full: %v", failed, load.done.Load()+failed, how)
	}
	full := load.done.Load()

	for _, file := range fillers {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	c.sees(t, "after")
	kept := 0
	for _, id := range said {
		if lines, err := c.lines(fmt.Sprintf(`{service_name="user"} | trace_id=%q`, id)); err == nil && len(lines) > 0 {
			kept++
		}
	}
	t.Logf("of %d lines said while the disks were full Loki has %d", len(said), kept)
	load.end()
	done := load.done.Load()
	if failed, how := load.failures(); failed > 0 || full == 0 {
		t.Errorf("%d of %d requests failed, %d were answered until the disks had room again: %v", failed, done+failed, full, how)
	} else {
		t.Logf("0 of %d requests failed, %d of them until the disks had room again", done, full)
	}
	for name, p := range c.list() {
		if p.Restarts > 0 {
			t.Logf("%s was started again %d times", name, p.Restarts)
		}
	}
}

// say makes n requests whose traces are kept and returns their traces' ids.
func (c *collected) say(t *testing.T, n int) []string {
	t.Helper()
	var ids []string
	for range n {
		ids = append(ids, c.traced(t, "POST", "/api/v1/auth/register", "", fmt.Sprintf(`{"email":%q,"password":%q,"name":"Ada"}`, newEmail(), password), 201))
	}
	return ids
}

// sees waits until something that is said now is in Loki and Jaeger, and Prometheus has a sample of now.
func (c *collected) sees(t *testing.T, when string) {
	t.Helper()
	began := time.Now()
	eventually(t, when+": Loki, Jaeger and Prometheus have what happens now", func() error {
		id := c.say(t, 1)[0]
		var err error
		for range 30 {
			lines, lokiErr := c.lines(fmt.Sprintf(`{service_name="user"} | trace_id=%q`, id))
			if lokiErr == nil && len(lines) == 0 {
				lokiErr = errors.New("Loki has no line")
			}
			spans, jaegerErr := c.trace(id)
			if jaegerErr == nil && len(spans["user"]) == 0 {
				jaegerErr = errors.New("Jaeger has no span")
			}
			if err = errors.Join(lokiErr, jaegerErr, c.above("timestamp(up{job=\"bootcheck\"})", float64(time.Now().Add(-15*time.Second).Unix()))); err == nil {
				return nil
			}
			time.Sleep(200 * time.Millisecond)
		}
		return err
	})
	t.Logf("%s: all three have what happens now after %v", when, time.Since(began).Round(100*time.Millisecond))
}

// above is whether an expression's greatest value is more than least.
func (c *collected) above(expr string, least float64) error {
	var got struct {
		Data struct {
			Result []struct {
				Value [2]any `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	if expr == "prometheus_tsdb_wal_writes_failed_total" { // it can no longer store its own
		for _, l := range scraped(c.t.(*testing.T), c.stack, 9090, expr+" ") {
			if v, err := strconv.ParseFloat(l[len(expr)+1:], 64); err == nil && v > least {
				return nil
			}
		}
		return fmt.Errorf("%s is not above %v", expr, least)
	}
	if err := c.ask("PROMETHEUS_HTTP", "/api/v1/query", url.Values{"query": {"max(" + expr + ")"}}, &got); err != nil {
		return err
	}
	if len(got.Data.Result) != 1 {
		return fmt.Errorf("%s has no value", expr)
	}
	text, _ := got.Data.Result[0].Value[1].(string)
	if v, err := strconv.ParseFloat(text, 64); err != nil || v <= least {
		return fmt.Errorf("%s is %s, want above %v", expr, text, least)
	}
	return nil
}

func (c *collected) state(part, path string) string {
	if err := c.ask(part, path, nil, nil); err != nil {
		return "says: " + err.Error()
	}
	return "is ready"
}

// fillUp leaves no room in a directory's file system and returns the file that takes it.
func fillUp(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 1<<20); len(block) > 0; {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// asking is load on the services.
type asking struct {
	asked
	end func()
}

// underLoad asks each service in turn, 100 times a second, past the gateway's limits, until its end.
func (c *collected) underLoad(t *testing.T, who person) *asking {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 20 * time.Second}
	a, stop := &asking{}, make(chan struct{})
	var calls, ticking sync.WaitGroup
	ticking.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			calls.Go(func() {
				to := askedFor[n%len(askedFor)]
				a.ask(client, fmt.Sprintf("http://127.0.0.1:%d%s", to.port+c.offset, to.path), who.token)
			})
		}
	})
	a.end = sync.OnceFunc(func() { close(stop); ticking.Wait(); calls.Wait() })
	t.Cleanup(a.end)
	return a
}
