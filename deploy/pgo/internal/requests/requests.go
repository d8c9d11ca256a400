// Package requests reads from a process's metrics how many requests it has answered, and how many of them with an error.
// It bounds the size and the time of every answer.
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

// Counter names the metric to read, which has at least one series a status.
type Counter struct {
	Metric string
	Label  string // its value is the status, such as 200
}

// Totals holds the number of answered requests.
type Totals struct {
	Requests float64 `json:"all"`
	Failed   float64 `json:"failed"` // with a status of 5xx
}

// Add returns the sum of both, for the totals of two processes.
func (c Totals) Add(other Totals) Totals {
	return Totals{c.Requests + other.Requests, c.Failed + other.Failed}
}

// Sub returns the requests since an earlier reading of the same process, never below 0.
func (c Totals) Sub(earlier Totals) Totals {
	return Totals{max(0, c.Requests-earlier.Requests), max(0, c.Failed-earlier.Failed)}
}

// ErrorShare returns the share of failed requests, from 0 to 1; 0 if there were none.
func (c Totals) ErrorShare() float64 {
	if c.Requests <= 0 {
		return 0
	}
	return min(1, c.Failed/c.Requests)
}

// CheckErrorShare returns an error if a release on probation fails too many requests: at least least requests, and a share
// of failures more than above over the share before it.
func (c Totals) CheckErrorShare(before, above float64, least int) error {
	if c.Requests < float64(least) || c.ErrorShare() <= before+above {
		return nil
	}
	return fmt.Errorf("%.1f %% of %.0f requests ended with 5xx while it was on probation, %.1f %% before it", 100*c.ErrorShare(), c.Requests, 100*before)
}

// Reader reads metrics. It is safe for concurrent use.
type Reader struct{ transport *http.Transport }

// NewReader returns a reader that keeps no connections open: an open one would keep a process from ending.
func NewReader() *Reader {
	return &Reader{&http.Transport{
		DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
		DialContext: (&net.Dialer{Timeout: timeout}).DialContext,
	}}
}

// Read reads the counter at an address, IP:port. It takes two seconds at most.
func (r *Reader) Read(ctx context.Context, addr, path string, of Counter) (Totals, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return Totals{}, fmt.Errorf("req for metrics: %w", err)
	}
	req.Header.Set("Accept", "text/plain;version=0.0.4")
	// No http.Client: it would follow redirects.
	res, err := r.transport.RoundTrip(req)
	if err != nil {
		return Totals{}, fmt.Errorf("req for metrics: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return Totals{}, fmt.Errorf("req for metrics: %s answers %d", path, res.StatusCode)
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

// readTotals adds up the series of the counter in Prometheus's text format. It skips other lines; a counter that is missing
// has not counted yet.
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
			skip = true // too long for a series of the counter
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
			return fmt.Errorf("a malformed line: %.80q", line)
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

// parseLabel finds a label's value in NAME="VALUE",...} and returns the text after the brace.
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
			value, found = string(after[1:end]), true // a status needs no unescaping
		}
		in = after[end+1:]
	}
}
