package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"pgo/pkg/auth"
	"pgo/pkg/testing/servicetest"
)

// TestBadInput makes every call in every wrong way: the answer is a problem with the right status, and nothing
// changes. Then it makes the call in the right way, which shows that it was the wrong part that was refused.
func TestBadInput(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	for _, k := range calls() {
		t.Run(k.name, func(t *testing.T) {
			c := env.createCampus(t, s)
			caller := k.permittedCaller(c)
			good := k.newRequest(c, caller)
			cases := append(badQueries(k, good), servicetest.RejectedTokens(good, forgeries(env, good, caller))...)
			if k.body != nil {
				cases = append(cases, servicetest.RejectedBodies(good)...)
				cases = append(cases, badFields(k, good)...)
			}
			cases = append(cases, badPaths(c, good)...)
			s.AssertRejected(t, cases, func() string { return dumpTables(t, s.DB) })
			c.s.expect(good, k.successStatus(), "")
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
	if k.name == "list members" {
		cases = append(cases, servicetest.RejectedParameters(good, "q", strings.Repeat("a", 101))...)
	}
	return cases
}

// badValues are wrong for a field, whatever the call is.
func badValues(call, field string) []any {
	texts := []any{1, -1, 1e300, true, []string{"x"}, map[string]string{"x": "y"}, nil, strings.Repeat("a", 1000), strings.Repeat("a", 500_000), "\x00\r\n\t", "a\u202eb", "a\u2028b"}
	switch field {
	case "name":
		return append(texts, "", " ", "\u200b", "\u00a0")
	case "timezone":
		return append(texts, "", " ", "Local", "Europe/Atlantis", "../etc/passwd", "/etc/passwd", "europe/berlin ", "UTC\x00", "Zürich", "posix/UTC", "right/UTC", "🎈")
	case "role":
		texts = append(texts, "", " ", "boss", "OWNER", "student ", "teacher,student")
		if strings.HasPrefix(call, "invite") {
			texts = append(texts, "owner")
		}
		if strings.HasPrefix(call, "put class member") {
			texts = append(texts, "owner", "admin")
		}
		return texts
	case "grade":
		return texts
	case "max_uses":
		return []any{0, -1, 10_001, 1e300, 1.5, "5", "", true, nil, []int{1}, json.Number("99999999999999999999")}
	case "expires_at":
		return []any{0, true, nil, "", "tomorrow", "2020-01-01T00:00:00Z", "2030-01-01", "2030-01-01 00:00:00", "2030-13-01T00:00:00Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00Z", "2030-01-01T00:00:00+99:00"}
	}
	panic(field)
}

func badFields(k call, good request) []servicetest.Rejection {
	body := good.Body.(map[string]any)
	change := func(name, field string, value any) servicetest.Rejection {
		changed := map[string]any{}
		maps.Copy(changed, body)
		changed[field] = value
		return good.RejectedWhen(fmt.Sprintf("%s %.50v", field, name), 422, func(r *request) { r.Body = changed })
	}
	cases := []servicetest.Rejection{change("", "nonsense", "x"), change("", "id", "x"), change("", "user_id", "x"), change("", "version", 1)}
	optional := func(list []string, field string) bool {
		return strings.Contains(","+strings.Join(list, ",")+",", ","+field+",")
	}
	for field := range body {
		for _, value := range badValues(k.name, field) {
			cases = append(cases, change(fmt.Sprintf("is %v", value), field, value))
		}
		if !optional(k.optional, field) {
			without := map[string]any{}
			maps.Copy(without, body)
			delete(without, field)
			cases = append(cases, good.RejectedWhen(field+" missing", 422, func(r *request) { r.Body = without }))
		}
	}
	return cases
}

// forgeries returns tokens of the caller that must be rejected, by their fault.
func forgeries(env *testEnv, good request, caller person) map[string]string {
	return map[string]string{
		"without a subject":    env.issuer.SignToken(func(c *auth.Claims) { c.Subject = "" }),
		"without a role":       env.issuer.SignToken(func(c *auth.Claims) { c.Subject, c.Role = caller.ID, "" }),
		"without a session":    env.issuer.SignToken(func(c *auth.Claims) { c.Subject, c.SessionID = caller.ID, "" }),
		"for another audience": env.issuer.SignToken(func(c *auth.Claims) { c.Subject, c.Audience = caller.ID, []string{"other"} }),
		"of another issuer":    env.issuer.SignToken(func(c *auth.Claims) { c.Subject, c.Issuer = caller.ID, "other" }),
		"without an end":       env.issuer.SignToken(func(c *auth.Claims) { c.Subject, c.ExpiresAt = caller.ID, nil }),
		"that has expired": env.issuer.SignToken(func(c *auth.Claims) {
			c.Subject, c.ExpiresAt = caller.ID, c.IssuedAt
			c.ExpiresAt.Time = c.ExpiresAt.AddDate(0, 0, -1)
		}),
		"with another signature":  good.Token[:len(good.Token)-8] + "AAAAAAAA",
		"that is cut off":         good.Token[:len(good.Token)/2],
		"that is much too long":   good.Token + strings.Repeat("A", 5000),
		"that is no token at all": "nonsense",
	}
}

// badPaths replaces each id and code in the path by what names nothing.
func badPaths(c campus, good request) []servicetest.Rejection {
	var cases []servicetest.Rejection
	for _, part := range strings.Split(good.Path, "/") {
		isID := uuid.Validate(part) == nil
		if !isID && part != c.code {
			continue
		}
		replaced := func(name, other string, status int) servicetest.Rejection {
			return good.RejectedWhen(name, status, func(r *request) { r.Path = strings.Replace(r.Path, part, other, 1) })
		}
		// An unknown id in the path of a member means a person who is not a member, which has a code of its own.
		unknown := 404
		if good.Method == "PUT" && !strings.Contains(good.Path, classes+part) {
			unknown = 409
		}
		if good.Method == "DELETE" && part == c.code {
			unknown = 404
		}
		if isID {
			cases = append(cases, replaced("unknown id", "0190a000-0000-7000-8000-000000000000", unknown))
		}
		for name, other := range map[string]string{
			"short": part[:len(part)-1], "long": part + "0", "not an id": strings.Repeat("~", 36), "in braces": "%7B" + part + "%7D", "very long": strings.Repeat("a", 8000),
			"number": "1", "emoji": url.PathEscape("🎈🎈🎈🎈🎈🎈🎈🎈🎈🎈🎈🎈🎈🎈🎈🎈"), "SQL": url.PathEscape("' OR '1'='1"), "NUL": "%00", "wildcards": strings.Repeat("%25", 20), "encoded slash": "..%2F..%2Fschools",
		} {
			cases = append(cases, replaced(part+" "+name, other, 404))
		}
		cases = append(cases, replaced("not UTF-8", "%ff", 400))
		if strings.ToUpper(part) != part {
			cases = append(cases, replaced("upper case", strings.ToUpper(part), 404))
		}
	}
	return cases
}
