//go:build collected

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// collected is a stack with Loki, Jaeger and the collector, which have to be on the PATH.
type collected struct {
	*stack
	env map[string]string
}

func newCollected(t *testing.T, prepare func(s *stack)) *collected {
	t.Helper()
	for _, program := range []string{"loki", "jaeger", "otelcol-contrib"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%v: docs/monitoring.md says where it is had", err)
		}
	}
	t.Setenv("PGO_TRACING_ENDPOINT", "")
	c := &collected{stack: prepareStack(t, "native")}
	if prepare != nil {
		prepare(c.stack)
	}
	c.up()
	text, err := os.ReadFile(filepath.Join(c.home, "env"))
	if err != nil {
		t.Fatal(err)
	}
	c.env = map[string]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			c.env[key] = value
		}
	}
	eventually(t, "Loki takes lines", func() error { return c.ask("LOKI_HTTP", "/ready", nil, nil) })
	return c
}

// ask gets a page of one of the parts, and reads its JSON into out unless that is nil.
func (c *collected) ask(part, path string, query url.Values, out any) error {
	res, err := c.client.Get("http://" + c.env[part] + path + "?" + query.Encode())
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", path, res.Status, text)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

// lines returns the lines that Loki has for a LogQL query of the last hour, with the labels and the structured metadata of each.
func (c *collected) lines(query string) ([]line, error) {
	var got struct {
		Data struct {
			Result []struct {
				Stream map[string]string `json:"stream"`
				Values [][2]string       `json:"values"`
			} `json:"result"`
		} `json:"data"`
	}
	q := url.Values{"query": {query}, "start": {strconv.FormatInt(time.Now().Add(-time.Hour).UnixNano(), 10)}, "limit": {"5000"}}
	if err := c.ask("LOKI_HTTP", "/loki/api/v1/query_range", q, &got); err != nil {
		return nil, err
	}
	var out []line
	for _, s := range got.Data.Result {
		for _, v := range s.Values {
			out = append(out, line{s.Stream, v[0], v[1]})
		}
	}
	return out, nil
}

type line struct {
	labels   map[string]string
	at, text string
}

// span is one of Jaeger's API.
type span struct {
	ID        string `json:"spanID"`
	Operation string `json:"operationName"`
	Process   string `json:"processID"`
	Tags      []struct {
		Key   string `json:"key"`
		Value any    `json:"value"`
	} `json:"tags"`
	References []struct {
		Span string `json:"spanID"`
	} `json:"references"`
}

// trace returns the spans that Jaeger has of a trace, by the service that made each.
func (c *collected) trace(id string) (map[string][]span, error) {
	var got struct {
		Data []struct {
			Spans     []span `json:"spans"`
			Processes map[string]struct {
				Service string `json:"serviceName"`
			} `json:"processes"`
		} `json:"data"`
	}
	if err := c.ask("JAEGER_HTTP", "/api/traces/"+id, nil, &got); err != nil {
		return nil, err
	}
	spans := map[string][]span{}
	for _, t := range got.Data {
		for _, s := range t.Spans {
			service := t.Processes[s.Process].Service
			spans[service] = append(spans[service], s)
		}
	}
	return spans, nil
}

// traced makes a request that asks for its trace to be kept, and returns the trace's id.
func (c *collected) traced(t *testing.T, method, path, token, body string, want int) string {
	t.Helper()
	id := newTraceID()
	req, err := http.NewRequest(method, c.url(path), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("traceparent", "00-"+id+"-0102030405060708-01")
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := c.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err != nil || res.StatusCode != want {
		t.Fatalf("%s %s: %s %s, %v", method, path, res.Status, text, err)
	}
	return id
}

// newTraceID is 32 digits, never the same.
func newTraceID() string { return fmt.Sprintf("%016x%016x", time.Now().UnixNano(), os.Getpid()) }

// TestCollected: what services say is found in Loki and what they do in Jaeger, by way of the collector, with the repository's own
// configurations and real programs.
func TestCollected(t *testing.T) {
	c := newCollected(t, nil)
	who := c.newPerson(t, "Ada")
	id := c.traced(t, "PATCH", "/api/v1/users/me", who.token, `{"name":"Ada Lovelace"}`, 200)
	t.Run("one trace from HTTP over SQL, Redis and AMQP to another service", func(t *testing.T) { c.wholeTrace(t, id) })
	t.Run("its lines, of gateway and services", func(t *testing.T) { c.itsLines(t, id) })
	t.Run("one label, the rest is structured metadata", c.boundedLabels)
	t.Run("the boards' LogQL", c.boards)
	t.Run("the parts are scraped, and only those that are here", c.targets)
	t.Run("Loki, Jaeger and the collector away", c.away)
}

func (c *collected) wholeTrace(t *testing.T, id string) {
	wanted := map[string][]string{
		"user":   {"PATCH /api/v1/users/me", "sql.", "redis ", "publish pgo.events"},
		"school": {"process school.events", "sql."},
		"task":   {"process task.events", "sql."},
	}
	eventually(t, "Jaeger has the whole trace", func() error {
		spans, err := c.trace(id)
		if err != nil {
			return err
		}
		known := map[string]bool{"0102030405060708": true}
		for service, names := range wanted {
			for _, name := range names {
				if !slices.ContainsFunc(spans[service], func(s span) bool { return strings.HasPrefix(s.Operation, name) }) {
					return fmt.Errorf("no %s... of %s in %v", name, service, spanNames(spans))
				}
			}
		}
		for _, all := range spans {
			for _, s := range all {
				known[s.ID] = true
			}
		}
		for _, all := range spans {
			for _, s := range all {
				for _, r := range s.References {
					if !known[r.Span] {
						return fmt.Errorf("%s hangs on a span that is not there: %v", s.Operation, spanNames(spans))
					}
				}
			}
		}
		return nil
	})
	var found struct {
		Data []struct {
			ID string `json:"traceID"`
		} `json:"data"`
	}
	q := url.Values{"service": {"user"}, "operation": {"PATCH /api/v1/users/me"}, "lookback": {"1h"}, "limit": {"20"},
		"start": {strconv.FormatInt(time.Now().Add(-time.Hour).UnixMicro(), 10)}, "end": {strconv.FormatInt(time.Now().UnixMicro(), 10)}}
	if err := c.ask("JAEGER_HTTP", "/api/traces", q, &found); err != nil {
		t.Fatal(err)
	}
	if len(found.Data) != 1 || found.Data[0].ID != id {
		t.Errorf("a search by service and operation finds %v, want the trace %s", found.Data, id)
	}
}

func spanNames(spans map[string][]span) map[string][]string {
	out := map[string][]string{}
	for service, all := range spans {
		for _, s := range all {
			out[service] = append(out[service], s.Operation)
		}
		slices.Sort(out[service])
	}
	return out
}

func (c *collected) itsLines(t *testing.T, id string) {
	for _, service := range []string{"gateway", "user"} {
		eventually(t, "Loki has the lines of "+service, func() error {
			lines, err := c.lines(fmt.Sprintf(`{service_name=%q} | trace_id=%q`, service, id))
			if err == nil && len(lines) == 0 {
				err = fmt.Errorf("no line of trace %s", id)
			}
			if err != nil {
				return err
			}
			for _, l := range lines {
				var said struct {
					TS      time.Time `json:"ts"`
					TraceID string    `json:"trace_id"`
					Request string    `json:"request_id"`
				}
				if err := json.Unmarshal([]byte(l.text), &said); err != nil {
					t.Fatalf("the line is not as it was written: %v: %s", err, l.text)
				}
				if said.TraceID != id || said.Request == "" || l.labels["request_id"] != said.Request {
					t.Errorf("the line says %+v, Loki has %v", said, l.labels)
				}
				if at, err := strconv.ParseInt(l.at, 10, 64); err != nil || !time.Unix(0, at).Equal(said.TS) {
					t.Errorf("the line is of %s, Loki has it at %s", said.TS, l.at)
				}
				if service == "user" && l.labels["instance"] != "0" {
					t.Errorf("the instance is %q", l.labels["instance"])
				}
				if l.labels["severity_text"] == "" {
					t.Errorf("no level in %v", l.labels)
				}
			}
			// As Grafana asks that comes from a trace.
			byText, err := c.lines(c.linkedLines(t, id))
			if err == nil && len(byText) < len(lines) {
				err = fmt.Errorf("%d lines by the link of a trace, %d of %s alone", len(byText), len(lines), service)
			}
			return err
		})
	}
}

// linkedLines returns the query behind the link from a trace to its lines.
func (c *collected) linkedLines(t *testing.T, id string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.root, "deploy", "grafana", "provisioning", "datasources", "pgo.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`query: '(.*__trace\.traceId.*)'`).FindStringSubmatch(string(text))
	if link == nil {
		t.Fatal("no link from a trace to its lines")
	}
	return strings.ReplaceAll(strings.ReplaceAll(link[1], "$$", "$"), "${__trace.traceId}", id)
}

func (c *collected) boundedLabels(t *testing.T) {
	var labels, names struct {
		Data []string `json:"data"`
	}
	if err := c.ask("LOKI_HTTP", "/loki/api/v1/labels", nil, &labels); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(labels.Data, []string{"service_name"}) {
		t.Errorf("Loki indexes %v", labels.Data)
	}
	if err := c.ask("LOKI_HTTP", "/loki/api/v1/label/service_name/values", nil, &names); err != nil {
		t.Fatal(err)
	}
	processes := slices.Collect(maps.Keys(c.list()))
	for _, name := range names.Data {
		if !slices.Contains(processes, name) && name != "pgo" {
			t.Errorf("%s is no process: %v", name, processes)
		}
	}
	for _, service := range append(services(), "gateway", "bootcheck") {
		if !slices.Contains(names.Data, service) {
			t.Errorf("nothing of %s: %v", service, names.Data)
		}
	}
}

// boards has Loki answer every query that a board asks it.
func (c *collected) boards(t *testing.T) {
	asked := 0
	err := filepath.WalkDir(filepath.Join(c.root, "deploy", "grafana", "boards"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var board struct {
			Templating struct {
				List []struct {
					Name     string `json:"name"`
					AllValue string `json:"allValue"`
				} `json:"list"`
			} `json:"templating"`
			Panels []struct {
				Title   string `json:"title"`
				Targets []struct {
					Expr       string `json:"expr"`
					Datasource struct {
						UID string `json:"uid"`
					} `json:"datasource"`
				} `json:"targets"`
			} `json:"panels"`
		}
		if err := json.Unmarshal(text, &board); err != nil {
			return err
		}
		for _, p := range board.Panels {
			for _, target := range p.Targets {
				if target.Datasource.UID != "loki" {
					continue
				}
				asked++
				expr := strings.ReplaceAll(target.Expr, "$__auto", "1m")
				for _, v := range board.Templating.List {
					expr = strings.ReplaceAll(expr, "$"+v.Name, v.AllValue) // as for All
				}
				var got struct {
					Status string `json:"status"`
					Data   struct {
						Result []json.RawMessage `json:"result"`
					} `json:"data"`
				}
				q := url.Values{"query": {expr}, "start": {strconv.FormatInt(time.Now().Add(-time.Hour).UnixNano(), 10)}, "step": {"15"}}
				if err := c.ask("LOKI_HTTP", "/loki/api/v1/query_range", q, &got); err != nil {
					t.Errorf("%s: %v", p.Title, err)
				} else if len(got.Data.Result) == 0 && !strings.Contains(expr, "error") {
					t.Errorf("%s has nothing to show: %s", p.Title, expr)
				}
			}
		}
		return nil
	})
	if err != nil || asked == 0 {
		t.Fatalf("%d queries, %v", asked, err)
	}
}

func (c *collected) targets(t *testing.T) {
	eventually(t, "all targets are up", func() error {
		var got struct {
			Data struct {
				Result []struct {
					Metric map[string]string `json:"metric"`
					Value  [2]any            `json:"value"`
				} `json:"result"`
			} `json:"data"`
		}
		if err := c.ask("PROMETHEUS_HTTP", "/api/v1/query", url.Values{"query": {`up{job=~"loki|otelcol|jaeger|grafana"}`}}, &got); err != nil {
			return err
		}
		up := map[string]any{}
		for _, r := range got.Data.Result {
			up[r.Metric["job"]] = r.Value[1]
		}
		want := map[string]any{"loki": "1", "otelcol": "1", "jaeger": "1"}
		for _, program := range []string{"grafana", "grafana-server"} {
			if _, err := exec.LookPath(program); err == nil {
				want["grafana"] = "1"
			}
		}
		if !maps.Equal(up, want) {
			return fmt.Errorf("up: %v, want %v", up, want)
		}
		return nil
	})
}

// away: while nobody takes lines and spans the services serve, and what was said meanwhile comes later.
func (c *collected) away(t *testing.T) {
	c.t = t
	c.must("pgo", "stop", "loki", "jaeger")
	var said []string
	for range 20 {
		said = append(said, c.traced(t, "POST", "/api/v1/auth/register", "", fmt.Sprintf(`{"email":%q,"password":%q,"name":"Ada"}`, newEmail(), password), 201))
	}
	c.must("pgo", "stop", "otelcol")
	for range 20 {
		said = append(said, c.traced(t, "POST", "/api/v1/auth/register", "", fmt.Sprintf(`{"email":%q,"password":%q,"name":"Ada"}`, newEmail(), password), 201))
	}
	c.must("pgo", "start", "loki", "jaeger", "otelcol")
	for _, id := range said {
		eventually(t, "the lines that nobody took are there", func() error {
			lines, err := c.lines(fmt.Sprintf(`{service_name="user"} | trace_id=%q`, id))
			if err == nil && len(lines) != 1 {
				err = fmt.Errorf("%d lines of trace %s, want that of the request", len(lines), id)
			}
			return err
		})
	}
}
