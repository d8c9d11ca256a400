//go:build telemetry || collected

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// askedFor is what is asked for, one of each service, by its port.
var askedFor = []struct {
	port int
	path string
}{{8081, "/api/v1/users/me"}, {8082, "/api/v1/schools"}, {8083, "/api/v1/tasks"}}

// fetch asks and says whether the answer was good.
func fetch(client *http.Client, url, token string) bool {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := client.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return err == nil && res.StatusCode == http.StatusOK
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
