package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"pgo/pkg/testing/testkit"
	"pgo/services/user"
	"pgo/services/user/events"
)

// TestDeadLettersOfTheMailer has requests for mail that cannot be read, and an operator who looks after them.
func TestDeadLettersOfTheMailer(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	bad := env.Publish(t, "user", user.EventMailRequested, uuid.NewString(), 1, "not a request")
	worse := env.Publish(t, "user", user.EventMailRequested, uuid.NewString(), 1, []int{1})
	p := s.signUp("Ada")
	env.awaitMailToken(t, p.Email, "Confirm", 1) // nothing before it is in its way

	list := func() (letters []map[string]any) {
		code, stdout, stderr := env.RunCommand(t, "events", "dead", "list", "--json")
		if err := json.Unmarshal([]byte(stdout), &letters); code != 0 || err != nil {
			t.Fatalf("ends with %d: %v, %s", code, err, stderr)
		}
		return letters
	}
	listed := func(n int) (letters []map[string]any) {
		testkit.Eventually(t, "the dead letters", func() error {
			if letters = list(); len(letters) != n {
				return fmt.Errorf("there are %d", len(letters))
			}
			return nil
		})
		return letters
	}
	for _, l := range listed(2) {
		if l["queue"] != events.MailQueue || l["type"] != user.EventMailRequested || l["attempts"] != 1.0 || !strings.Contains(l["reason"].(string), "decode mail request") {
			t.Errorf("listed as %v", l)
		}
	}
	if code, stdout, stderr := env.RunCommand(t, "events", "dead", "show", bad.ID); code != 0 || !strings.Contains(stdout, `"not a request"`) {
		t.Errorf("show ends with %d: %s%s", code, stdout, stderr)
	}
	if code, _, stderr := env.RunCommand(t, "events", "dead", "replay", bad.ID); code != 0 {
		t.Errorf("replay ends with %d: %s", code, stderr)
	}
	listed(2) // it cannot be handled now either
	if code, stdout, stderr := env.RunCommand(t, "events", "dead", "drop", worse.ID); code != 0 || !strings.Contains(stdout, worse.ID) {
		t.Errorf("drop ends with %d: %s%s", code, stdout, stderr)
	}
	if left := listed(1); left[0]["id"] != bad.ID {
		t.Errorf("left is %v", left)
	}
	env.BrokerLink.Cut()
	if code, stdout, stderr := env.RunCommand(t, "events", "dead", "list"); code != 69 || stdout != "" || strings.Count(stderr, "\n") != 1 {
		t.Errorf("without a broker list ends with %d: %s%s", code, stdout, stderr)
	}
	env.BrokerLink.Restore()
}
