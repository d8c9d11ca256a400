package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// demo fills a school by `make demo`'s program and signs in as it says.
func demo(t *testing.T, s *stack) {
	for range 2 { // it can be run again
		start := time.Now()
		out := s.must("demo")
		t.Logf("the demo took %v", time.Since(start).Round(time.Second))
		id := regexp.MustCompile(`\(([0-9a-f-]{36})\) has 3 teachers, 120 students, 6 classes and 24 tasks \(6 draft, 12 published, 6 closed\)`).FindStringSubmatch(out)
		if id == nil || !strings.Contains(out, s.url("/swagger/")) || !strings.Contains(out, "admin@pgo.local") {
			t.Fatalf("it prints %s", out)
		}
		owner := s.demoSignIn(t, out, "owner")
		members := 0
		for cursor := ""; ; {
			page := s.want(t, 200, "GET", "/api/v1/schools/"+id[1]+"/members?limit=100"+cursor, owner, nil)
			items, _ := page.JSON["items"].([]any)
			members += len(items)
			if page.text("next_cursor") == "" {
				break
			}
			cursor = "&cursor=" + page.text("next_cursor")
		}
		if members != 125 {
			t.Errorf("%d members", members)
		}
		teacher := s.demoSignIn(t, out, "teacher of")
		seen := map[string]bool{}
		for _, task := range s.items(t, "/api/v1/tasks?limit=100", teacher) {
			seen[fmt.Sprintf("%v, submitted %v, graded %v of %v", task["status"], task["submitted_count"], task["graded_count"], task["assigned_count"])] = true
			if task["submitted_count"] == 6.0 {
				stats := s.want(t, 200, "GET", fmt.Sprintf("/api/v1/tasks/%v/stats", task["id"]), teacher, nil)
				if stats.JSON["late"] != 6.0 {
					t.Errorf("the late ones are not late: %s", stats.Body)
				}
			}
		}
		for _, want := range []string{"draft, submitted 0, graded 0 of 0", "published, submitted 12, graded 5 of 20",
			"published, submitted 6, graded 2 of 20", "closed, submitted 17, graded 17 of 20"} {
			if !seen[want] {
				t.Errorf("no task is %s: %v", want, seen)
			}
		}
		s.demoSignIn(t, out, "school admin")
		if n := len(s.items(t, "/api/v1/tasks?assigned=me", s.demoSignIn(t, out, "student of"))); n != 3 {
			t.Errorf("the student has %d tasks", n)
		}
	}
}

// demoSignIn signs in as the line of the demo's table that begins with who says.
func (s *stack) demoSignIn(t testing.TB, out, who string) string {
	t.Helper()
	line := regexp.MustCompile(`(?m)^` + who + `\b.* (\S+@\S+) +(\S+)$`).FindStringSubmatch(out)
	if line == nil {
		t.Fatalf("no %s in %s", who, out)
	}
	return s.want(t, 200, "POST", "/api/v1/auth/login", "", map[string]string{"email": line[1], "password": line[2]}).text("access_token")
}

func (s *stack) items(t testing.TB, path, token string) []map[string]any {
	t.Helper()
	list, _ := s.want(t, 200, "GET", path, token, nil).JSON["items"].([]any)
	out := make([]map[string]any, len(list))
	for i, item := range list {
		out[i], _ = item.(map[string]any)
	}
	return out
}

// demoWithoutStack says what is missing.
func demoWithoutStack(t *testing.T, s *stack) {
	out, err := s.command("demo", "--url", "http://127.0.0.1:1")
	if err == nil || !strings.Contains(err.Error(), "exit status 69") || !strings.Contains(err.Error(), "make up brings it up") || out != "" {
		t.Errorf("%v, %s", err, out)
	}
}
