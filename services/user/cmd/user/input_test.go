package main

import (
	"encoding/json"
	"maps"
	"net/url"
	"strings"
	"testing"

	"pgo/pkg/testing/servicetest"
)

// withoutLoginLimits returns settings that allow any number of failed sign-ins.
func withoutLoginLimits() []string {
	return []string{"PGO_CFG_LOGIN__FREE=1000000", "PGO_CFG_LOGIN__ACCOUNT=1000000", "PGO_CFG_LOGIN__ADDRESS=1000000", "PGO_CFG_LOGIN__INVENTED=1000000"}
}

// TestBadInput makes every call in every wrong way: the answer is a problem with the right status, and nothing
// changes. Then it makes the call in the right way, which shows that it was the wrong part that was refused.
func TestBadInput(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t, withoutLoginLimits()...)
	db := env.DB.Open(t)
	admin := env.createAdmin(t, s, "root@example.org")
	forged, nobody := env.forgeries(t, s), s.signUp("Nobody")
	for _, k := range calls() {
		t.Run(k.name, func(t *testing.T) {
			s := s.withT(t)
			c := env.newParticipants(k, s, admin)
			good := request{Method: k.method, Path: k.path(t, c), Token: c.token(k)}
			var body map[string]string
			if k.body != nil {
				body = k.body(t, c)
				good.Body = body
			}
			cases := badQueries(k, good)
			if k.body != nil {
				cases = append(cases, servicetest.RejectedBodies(good)...)
				cases = append(cases, badFields(k, good, body)...)
			}
			if k.who != anyone {
				cases = append(cases, servicetest.RejectedTokens(good, forged)...)
			}
			if k.who == adminOnly {
				cases = append(cases, good.RejectedWhen("not an admin", 403, func(r *request) { r.Token = nobody.Access }))
			}
			if c.other.ID != "" && strings.HasSuffix(good.Path, c.other.ID) || k.name == "end session" {
				cases = append(cases, badIDs(good)...)
			}
			if k.name == "end session" {
				cases = append(cases, good.RejectedWhen("somebody else's session", 404, func(r *request) { r.Path = "/api/v1/auth/sessions/" + s.currentSession(c.other) }))
			}
			s.AssertRejected(t, cases, func() string { return dumpTables(t, db) })
			s.expect(good, k.ok, "")
		})
	}
}

func badQueries(k call, good request) []servicetest.Rejection {
	cases := servicetest.RejectedQueries(good)
	if k.list {
		cases = append(cases, servicetest.RejectedPages(good)...)
	}
	for _, f := range k.filters {
		cases = append(cases, servicetest.RejectedParameters(good, f, "nonsense")...)
	}
	if k.name == "list users" {
		cases = append(cases, servicetest.RejectedParameters(good, "q", strings.Repeat("a", 255))...)
	}
	return cases
}

func badFields(k call, good request, body map[string]string) []servicetest.Rejection {
	change := func(name, field string, value any, status int) servicetest.Rejection {
		changed := map[string]any{}
		for f, v := range body {
			changed[f] = v
		}
		changed[field] = value
		return good.RejectedWhen(field+" "+name, status, func(r *request) { r.Body = changed })
	}
	cases := []servicetest.Rejection{change("", "nonsense", "x", 422), change("", "id", "x", 422), change("", "is_admin", true, 422)}
	for field := range body {
		for _, value := range []any{1, -1, 1e300, true, []string{"x"}, map[string]string{"x": "y"}} {
			text, _ := json.Marshal(value)
			cases = append(cases, change("is "+string(text), field, value, 422))
		}
		status := 422
		if said, ok := k.wrong[field]; ok {
			status = said
		}
		cases = append(cases,
			change("null", field, nil, 422), change("empty", field, "", status), change("blank", field, " ", status),
			change("too long", field, strings.Repeat("a", 1000), status), change("far too long", field, strings.Repeat("a", 500_000), status),
			change("with control characters", field, "\x00\r\n\t", status))
		if !k.optional {
			without := map[string]string{}
			maps.Copy(without, body)
			delete(without, field)
			cases = append(cases, good.RejectedWhen(field+" missing", status, func(r *request) { r.Body = without }))
		}
	}
	return cases
}

func badIDs(good request) []servicetest.Rejection {
	at := strings.LastIndexByte(good.Path, '/') + 1
	id := good.Path[at:]
	var cases []servicetest.Rejection
	for name, other := range map[string]string{
		"unknown": "0190a000-0000-7000-8000-000000000000", "short": id[:35], "long": id + "0", "not a UUID": strings.Repeat("z", 36), "in braces": "%7B" + id + "%7D",
		"upper case": "0190A000-0000-7000-8000-000000000000", "very long": strings.Repeat("a", 8000), "number": "1", "negative": "-1", "emoji": url.PathEscape("🎈"),
		"SQL": url.PathEscape("' OR '1'='1"), "encoded slash": "..%2F..%2Fusers",
	} {
		cases = append(cases, good.RejectedWhen("id "+name, 404, func(r *request) { r.Path = good.Path[:at] + other }))
	}
	return append(cases, good.RejectedWhen("id not UTF-8", 400, func(r *request) { r.Path = good.Path[:at] + "%ff" }))
}
