package main

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"pgo/pkg/auth"
	"pgo/pkg/testing/servicetest"
)

// TestBadInput makes every call in every wrong way: the answer is a problem with the right status, and nothing changes.
// Then it makes the call in the right way, which shows that it was the wrong part that was refused.
func TestBadInput(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.Start(t)
	c := env.createClassroom(t, s)
	for _, k := range calls() {
		t.Run(k.name, func(t *testing.T) {
			good := k.validRequest(t, c, s)
			cases := slices.Concat(badQueries(k, good), servicetest.RejectedTokens(good, env.forgeries(good)))
			if k.body != nil {
				cases = slices.Concat(cases, servicetest.RejectedBodies(good), badFields(k, good))
			}
			if k.on != "" {
				cases = append(cases, badIDs(good)...)
			}
			s.AssertRejected(t, cases, func() string { return env.dumpTables(t) })
			s.Expect(t, good, k.ok, "")
		})
	}
}

func badQueries(k call, good request) []servicetest.Rejection {
	cases := servicetest.RejectedQueries(good)
	if k.list {
		cases = append(cases, servicetest.RejectedPages(good)...)
	}
	for f, values := range k.filters {
		cases = append(cases, servicetest.RejectedParameters(good, f, values...)...)
	}
	return cases
}

func badFields(k call, good request) []servicetest.Rejection {
	body := good.Body.(map[string]any)
	change := func(name, field string, value any) servicetest.Rejection {
		changed := maps.Clone(body)
		changed[field] = value
		return good.RejectedWhen(field+" "+name, 422, func(r *request) { r.Body = changed })
	}
	cases := []servicetest.Rejection{change("", "nonsense", "x"), change("", "id", "x"), change("", "status", "published"), change("", "version", 1)}
	for field, value := range body {
		for _, other := range []any{1, 1.5, 1e300, "99999999999999999999", true, []string{"x"}, map[string]string{"x": "y"}, strings.Repeat("a", 500_000)} {
			if haveSameType(value, other) {
				continue
			}
			text, _ := json.Marshal(other)
			cases = append(cases, change("is "+string(text[:min(len(text), 30)]), field, other))
		}
		for _, wrong := range k.wrong[field] {
			text, _ := json.Marshal(wrong)
			cases = append(cases, change("is "+string(text[:min(len(text), 30)]), field, wrong))
		}
		if k.optional || !slices.Contains(k.may, field) || field == "draft" || field == "feedback" {
			cases = append(cases, change("null", field, nil))
		}
		if !k.optional && !slices.Contains(k.may, field) {
			without := maps.Clone(body)
			delete(without, field)
			cases = append(cases, good.RejectedWhen(field+" missing", 422, func(r *request) { r.Body = without }))
		}
	}
	return cases
}

// haveSameType reports whether a field of b's type accepts a. A fraction is not a whole number.
func haveSameType(a, b any) bool {
	kind := func(v any) string {
		switch v := v.(type) {
		case string:
			return "text"
		case time.Time:
			return "time"
		case bool:
			return "bool"
		case int:
			return "number"
		case float64:
			if v != float64(int64(v)) || v > 1e18 {
				return "fraction"
			}
			return "number"
		}
		return "other"
	}
	return kind(a) == kind(b)
}

// forgeries returns tokens of the caller that must be rejected, by their fault.
func (env *testEnv) forgeries(good request) map[string]string {
	var claims jwt.MapClaims
	if _, _, err := jwt.NewParser().ParseUnverified(good.Token, &claims); err != nil {
		panic(err) // the harness made it
	}
	subject, _ := claims.GetSubject()
	sign := func(change func(*auth.Claims)) string {
		return env.issuer.SignToken(func(c *auth.Claims) { c.Subject = subject; change(c) })
	}
	head, _, _ := strings.Cut(good.Token, ".")
	unsigned := "eyJhbGciOiJub25lIn0" + good.Token[len(head):strings.LastIndexByte(good.Token, '.')+1]
	return map[string]string{
		"expired":         sign(func(c *auth.Claims) { c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(-2 * auth.Leeway)) }),
		"without end":     sign(func(c *auth.Claims) { c.ExpiresAt = nil }),
		"for another":     sign(func(c *auth.Claims) { c.Audience = jwt.ClaimStrings{"other"} }),
		"of another":      sign(func(c *auth.Claims) { c.Issuer = "other" }),
		"without session": sign(func(c *auth.Claims) { c.SessionID = "" }),
		"without subject": sign(func(c *auth.Claims) { c.Subject = "" }),
		"unsigned":        unsigned, "changed": good.Token[:len(good.Token)-6] + "AAAAAA", "long": strings.Repeat("a", 5000), "nonsense": "x",
	}
}

// badIDs puts other things where the path has ids.
func badIDs(good request) []servicetest.Rejection {
	var cases []servicetest.Rejection
	parts := strings.Split(good.Path, "/")
	for at, id := range parts {
		if len(id) != 36 {
			continue
		}
		put := func(other string) string {
			changed := slices.Clone(parts)
			changed[at] = other
			return strings.Join(changed, "/")
		}
		for name, other := range map[string]string{
			"unknown": "0190a000-0000-7000-8000-000000000000", "short": id[:35], "long": id + "0", "not a UUID": strings.Repeat("z", 36), "in braces": "%7B" + id + "%7D",
			"upper case": "0190A000-0000-7000-8000-000000000000", "very long": strings.Repeat("a", 8000), "number": "1", "negative": "-1", "emoji": url.PathEscape("🎈"),
			"SQL": url.PathEscape("' OR '1'='1"), "encoded slash": "..%2F..%2Ftasks",
		} {
			cases = append(cases, good.RejectedWhen("id "+name, 404, func(r *request) { r.Path = put(other) }))
		}
		cases = append(cases, good.RejectedWhen("id not UTF-8", 400, func(r *request) { r.Path = put("%ff") }))
	}
	return cases
}
