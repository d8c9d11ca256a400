//go:build telemetry || collected

package e2e

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// askedFor returns one request of each service, by its port.
var askedFor = []struct {
	port int
	path string
}{{8081, "/api/v1/users/me"}, {8082, "/api/v1/schools"}, {8083, "/api/v1/tasks"}}

// asked counts what was asked, and how it failed.
type asked struct {
	done   atomic.Int64
	mu     sync.Mutex
	failed map[string]int // by what went wrong
}

func (a *asked) ask(client *http.Client, url, token string) {
	err := fetch(client, url, token)
	if err == nil {
		a.done.Add(1)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failed == nil {
		a.failed = map[string]int{}
	}
	a.failed[err.Error()]++
}

// failures is how many failed, and how.
func (a *asked) failures() (n int64, how map[string]int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, of := range a.failed {
		n += int64(of)
	}
	return n, maps.Clone(a.failed)
}

// fetch asks, and the error says how the answer was not good.
func fetch(client *http.Client, url, token string) error {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %.300s", url, res.Status, text)
	}
	return nil
}

// scraped is the lines of a page of metrics that begin with name.
func scraped(t *testing.T, s *stack, port int, name string) []string {
	t.Helper()
	res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", port+s.offset))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, name) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}
