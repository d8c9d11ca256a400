package requests

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

var testCounter = Counter{Metric: "requests_total", Label: "code"}

func TestRead(t *testing.T) {
	tests := []struct {
		name, text string
		want       Totals
		wrong      string // in the error
	}{
		{"nothing yet", "# HELP other x\nother 1\n", Totals{}, ""},
		{"adds up", "requests_total{code=\"200\",route=\"/a\"} 7\nrequests_total{route=\"/b\",code=\"503\"} 2\nrequests_total{code=\"500\"} 1 1700000000\n", Totals{10, 3}, ""},
		{"no end of line", `requests_total{code="500"} 1`, Totals{1, 1}, ""},
		{"spaces", "requests_total { code=\"500\" } 1\n", Totals{}, "without the label"},
		{"spaces in braces", "requests_total{ code = \"500\" , } 2e1\r\n", Totals{20, 20}, ""},
		{"others of that beginning", "requests_total_created{code=\"500\"} 9\nrequests_total{code=\"200\"} 1\nrequests 5\n", Totals{1, 0}, ""},
		{"escapes", `requests_total{route="a\"b},code=\"500\"\\",code="200"} 4`, Totals{4, 0}, ""},
		{"no status of 5xx", `requests_total{code="5"} 4`, Totals{4, 0}, ""},
		{"an exemplar", `requests_total{code="500"} 4 # {trace_id="x"} 1`, Totals{4, 4}, ""},
		{"a long line of another", "other{x=\"" + strings.Repeat("a", 3*maxLine) + "\"} 1\nrequests_total{code=\"500\"} 1\n", Totals{1, 1}, ""},
		{"a long line that ends like ours", strings.Repeat("a", maxLine) + "requests_total{code=\"500\"} 1\n", Totals{}, ""},
		{"without the label", `requests_total{status="500"} 1`, Totals{}, "without the label of the status, code"},
		{"without labels", `requests_total 1`, Totals{}, "without the label of the status, code"},
		{"no value", `requests_total{code="500"}`, Totals{}, "without a value"},
		{"no number", `requests_total{code="500"} many`, Totals{}, "counts nothing"},
		{"not a number", `requests_total{code="500"} NaN`, Totals{}, "counts nothing"},
		{"without end", `requests_total{code="500"} +Inf`, Totals{}, "counts nothing"},
		{"below zero", `requests_total{code="500"} -1`, Totals{}, "counts nothing"},
		{"no end of a value", `requests_total{code="500} 1`, Totals{}, "a malformed line"},
		{"an escape at the end", `requests_total{code="500\`, Totals{}, "a malformed line"},
		{"no labels in braces", `requests_total{nothing} 1`, Totals{}, "a malformed line"},
		{"too much", strings.Repeat("# nothing that anybody wants to know\n", maxBytes/30), Totals{}, "more than 4 MiB"},
		{"too much in one line", strings.Repeat("x", maxBytes+1), Totals{}, "more than 4 MiB"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/m" || r.Header.Get("Accept-Encoding") != "" {
					t.Errorf("asked for %s with %v", r.URL, r.Header)
				}
				_, _ = fmt.Fprint(w, test.text) // who has enough closes
			}))
			defer server.Close()
			got, err := NewReader().Read(t.Context(), server.Listener.Addr().String(), "/m", testCounter)
			if test.wrong == "" && err != nil || test.wrong != "" && (err == nil || !strings.Contains(err.Error(), test.wrong)) {
				t.Errorf("error %v, want %q", err, test.wrong)
			}
			if got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestReadHostileServer(t *testing.T) {
	tests := []struct {
		name    string
		answers http.HandlerFunc
		wrong   string
	}{
		{"never answers", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "deadline exceeded"},
		{"never ends", func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprint(w, "requests_total{code=\"500\"} 1\n")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, "deadline exceeded"},
		{"ends in its middle", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprint(w, "requests_total{code=\"500\"} 1\n")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, "unexpected EOF"},
		{"an error", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, "answers 500"},
		{"sends elsewhere", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) }, "answers 302"},
		{"much of a head", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) }, "exceeded"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(test.answers)
			defer server.Close()
			if got, err := NewReader().Read(t.Context(), server.Listener.Addr().String(), "/m", testCounter); err == nil || !strings.Contains(err.Error(), test.wrong) || got != (Totals{}) {
				t.Errorf("%v, %v, want %q", got, err, test.wrong)
			}
		})
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := NewReader().Read(ended, "127.0.0.1:1", "/m", testCounter); !errors.Is(err, context.Canceled) {
		t.Errorf("of a context that has ended: %v", err)
	}
}

func TestTotals(t *testing.T) {
	if got := (Totals{10, 4}).Sub(Totals{8, 3}).Add(Totals{2, 0}); got != (Totals{4, 1}) || got.ErrorShare() != 0.25 {
		t.Errorf("%v, %f", got, got.ErrorShare())
	}
	if got := (Totals{1, 0}).Sub(Totals{8, 3}); got != (Totals{}) || got.ErrorShare() != 0 {
		t.Errorf("of another process: %v", got)
	}
}

// FuzzRead checks that every answer gives valid totals or an error.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{"requests_total{code=\"500\"} 1\n", "requests_total{", "requests_total{code=\"\\", "requests_total{code=\"5\"}", "\n\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := testCounter.readTotals(strings.NewReader(text))
		if c.Failed > c.Requests || c.Requests < 0 || err != nil && c != (Totals{}) {
			t.Errorf("%v, %v", c, err)
		}
	})
}

func TestCheckErrorShare(t *testing.T) {
	tests := []struct {
		name   string
		count  Totals
		before float64
		want   string
	}{
		{"nothing yet", Totals{}, 0, ""},
		{"too few to tell", Totals{19, 19}, 0, ""},
		{"as many as are borne", Totals{100, 5}, 0, ""},
		{"more", Totals{100, 6}, 0, "6.0 % of 100 requests ended with 5xx while it was on probation, 0.0 % before it"},
		{"as it was before", Totals{100, 34}, 0.3, ""},
		{"worse than it was before", Totals{100, 40}, 0.3, "40.0 % of 100 requests ended with 5xx while it was on probation, 30.0 % before it"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			if err := test.count.CheckErrorShare(test.before, 0.05, 20); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
