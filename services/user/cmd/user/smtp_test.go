package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"pgo/pkg/testing/testkit"
	"pgo/services/user/mail"
	"pgo/services/user/mail/mailtest"
)

// TestMailLeavesBySMTP signs up people while the server is busy, accepts, and refuses for good: a mail is tried again until it
// is accepted, and becomes a dead letter when it is refused.
func TestMailLeavesBySMTP(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	server := &mailtest.Server{}
	s := env.start(t, "PGO_CFG_MAIL__SMTP__ADDR="+mailtest.Start(t, server, mail.TLSNone, nil), "PGO_CFG_MAIL__SMTP__TLS=none")
	arrived := func(p person) int {
		n := 0
		for _, text := range server.All() {
			if strings.Contains(text, p.Email) {
				n++
			}
		}
		return n
	}
	deadLetters := func() int {
		var letters []map[string]any
		code, stdout, stderr := env.RunCommand(t, "events", "dead", "list", "--json")
		if err := json.Unmarshal([]byte(stdout), &letters); code != 0 || err != nil {
			t.Fatalf("ends with %d: %v, %s", code, err, stderr)
		}
		return len(letters)
	}
	server.Reject(&smtp.SMTPError{Code: 451, Message: "busy"})
	delayed := s.signUp("Ada")
	testkit.Eventually(t, "a failed delivery", func() error {
		if len(s.Logs.LinesWith("the server answered 451")) == 0 {
			return errors.New("not logged")
		}
		return nil
	})
	server.Reject(nil)
	testkit.Eventually(t, "the mail that was delayed", func() error {
		if arrived(delayed) != 1 {
			return fmt.Errorf("%d arrived", arrived(delayed))
		}
		return nil
	})
	server.Reject(&smtp.SMTPError{Code: 550, Message: "no such mailbox"})
	refused := s.signUp("Bob")
	testkit.Eventually(t, "the dead letter", func() error {
		if n := deadLetters(); n != 1 {
			return fmt.Errorf("there are %d", n)
		}
		return nil
	})
	if n := arrived(refused); n != 0 {
		t.Errorf("%d mails arrived although the server refused them", n)
	}
	if all := env.readMails(t, "", ""); len(all) > 0 {
		t.Errorf("%d mails are files", len(all))
	}
}

// TestUnconfiguredMailIsReported checks that a service without an SMTP server is degraded where people wait for mails.
func TestUnconfiguredMailIsReported(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name       string
		environ    []string
		isDegraded bool
	}{
		{"test environment", nil, false},
		{"staging without SMTP", []string{"PGO_ENV=staging"}, true},
		{"staging with SMTP", []string{"PGO_ENV=staging", "PGO_CFG_MAIL__SMTP__ADDR=127.0.0.1:25"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newTestEnv(t).start(t, tc.environ...)
			res := s.expect(request{Method: "GET", Path: "/readyz"}, 200, "")
			degraded, _ := res.JSON["degraded"].([]any)
			if slices.Contains(degraded, any("mail")) != tc.isDegraded {
				t.Errorf("/readyz is %s", res.Body)
			}
		})
	}
}
