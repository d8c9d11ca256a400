// Package requests reads how many requests a process has answered, and how many of them with an error, from the
// metrics that it shows. Nothing that it is told is trusted to be of a size, or to come in time.
package requests

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Bounds of one answer.
const (
	maxBytes = 4 << 20
	maxLine  = 64 << 10
	timeout  = 2 * time.Second
)

// Counter is the metric to read: one series for each status, at least.
type Counter struct {
	Metric string
	Label  string // its value is the status, as 200
}

// Totals is how many requests were answered.
type Totals struct {
	Requests float64 `json:"all"`
	Failed   float64 `json:"failed"` // with a status of 5xx
}

// Add adds what another process has answered.
func (c Totals) Add(other Totals) Totals {
	return Totals{c.Requests + other.Requests, c.Failed + other.Failed}
}

// Sub is what was answered after an earlier count of the same process.
func (c Totals) Sub(earlier Totals) Totals {
	return Totals{max(0, c.Requests-earlier.Requests), max(0, c.Failed-earlier.Failed)}
}

// ErrorShare is the part that failed; 0 of none.
func (c Totals) ErrorShare() float64 {
	if c.Requests <= 0 {
		return 0
	}
	return min(1, c.Failed/c.Requests)
}

// CheckErrorShare tells of what was answered on probation why it may not stay so: at least that many requests, and a share of them
// failed that is more than above over the share before. It is nil where there is nothing to be said.
func (c Totals) CheckErrorShare(before, above float64, least int) error {
	if c.Requests < float64(least) || c.ErrorShare() <= before+above {
		return nil
	}
	return fmt.Errorf("%.1f %% of %.0f requests ended with 5xx while it was on probation, %.1f %% before it", 100*c.ErrorShare(), c.Requests, 100*before)
}

// Reader asks processes. It may be used by several at the same time.
type Reader struct{ transport *http.Transport }

// NewReader returns one that keeps no connections: one that is kept would keep a process from ending.
func NewReader() *Reader {
	return &Reader{&http.Transport{
		DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
		DialContext: (&net.Dialer{Timeout: timeout}).DialContext,
	}}
}

// Read asks at an address, IP:port. It takes two seconds at most.
func (r *Reader) Read(ctx context.Context, addr, path string, of Counter) (Totals, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return Totals{}, fmt.Errorf("ask for metrics: %w", err)
	}
	ask.Header.Set("Accept", "text/plain;version=0.0.4")
	// Not a client: it would follow where it is sent.
	res, err := r.transport.RoundTrip(ask)
	if err != nil {
		return Totals{}, fmt.Errorf("ask for metrics: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return Totals{}, fmt.Errorf("ask for metrics: %s answers %d", path, res.StatusCode)
	}
	c, err := of.readTotals(res.Body)
	if err != nil {
		return Totals{}, fmt.Errorf("read metrics: %w", err)
	}
	return c, nil
}

var (
	errTooLarge      = fmt.Errorf("more than %d MiB", maxBytes>>20)
	errNoStatusLabel = errors.New("a series without the label of the status")
)

// readTotals adds up the series of the counter in Prometheus's text format. Lines that are none of it are skipped; a counter
// that is not there has not counted yet.
func (of Counter) readTotals(body io.Reader) (Totals, error) {
	limited := &io.LimitedReader{R: body, N: maxBytes + 1}
	in := bufio.NewReaderSize(limited, maxLine)
	var sum Totals
	for skip := false; ; {
		line, err := in.ReadSlice('\n')
		switch {
		case limited.N <= 0:
			return Totals{}, errTooLarge
		case errors.Is(err, bufio.ErrBufferFull):
			skip = true // too long to be one of ours
			continue
		case err != nil && !errors.Is(err, io.EOF):
			return Totals{}, err
		}
		if !skip {
			if failed := of.addLine(&sum, bytes.TrimSpace(line)); failed != nil {
				return Totals{}, failed
			}
		}
		if skip = false; err != nil {
			return sum, nil
		}
	}
}

func (of Counter) addLine(sum *Totals, line []byte) error {
	rest, ok := bytes.CutPrefix(line, []byte(of.Metric))
	if !ok || len(rest) == 0 || rest[0] != '{' && rest[0] != ' ' && rest[0] != '\t' {
		return nil // another metric
	}
	status, known := "", false
	if rest[0] == '{' {
		if status, known, rest, ok = parseLabel(rest[1:], of.Label); !ok {
			return fmt.Errorf("a line that is none: %.80q", line)
		}
	}
	if !known {
		return fmt.Errorf("%w, %s", errNoStatusLabel, of.Label)
	}
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return fmt.Errorf("a line without a value: %.80q", line)
	}
	n, err := strconv.ParseFloat(string(fields[0]), 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) || n < 0 {
		return fmt.Errorf("a line that counts nothing: %.80q", line)
	}
	sum.Requests += n
	if len(status) == 3 && status[0] == '5' {
		sum.Failed += n
	}
	return nil
}

// parseLabel finds a label's value in NAME="VALUE",...} and returns what follows the brace.
func parseLabel(in []byte, wanted string) (value string, found bool, rest []byte, ok bool) {
	for {
		in = bytes.TrimLeft(in, " \t,")
		if len(in) > 0 && in[0] == '}' {
			return value, found, in[1:], true
		}
		name, after, ok := bytes.Cut(in, []byte{'='})
		after = bytes.TrimLeft(after, " \t")
		if !ok || len(after) == 0 || after[0] != '"' {
			return "", false, nil, false
		}
		end := 1
		for ; end < len(after) && after[end] != '"'; end++ {
			if after[end] == '\\' {
				end++
			}
		}
		if end >= len(after) {
			return "", false, nil, false
		}
		if string(bytes.TrimSpace(name)) == wanted {
			value, found = string(after[1:end]), true // a status has nothing to be unescaped
		}
		in = after[end+1:]
	}
}
