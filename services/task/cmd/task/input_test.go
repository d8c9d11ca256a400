package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"pgo/pkg/auth"
	"pgo/pkg/servicetest"
)

// bad is a request that must be refused with the status.
type bad struct {
	name   string
	req    request
	status int
}

// TestBadInput makes every call in every wrong way: the answer is a problem with the right status, and nothing changes.
// Then it makes the call in the right way, which shows that it was the wrong part that was refused.
func TestBadInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.Start(t)
	c := w.cast(t, s)
	for _, k := range calls() {
		t.Run(k.name, func(t *testing.T) {
			good := k.good(t, c, s)
			cases := slices.Concat(badQueries(k, good), w.badTokens(good))
			if k.body != nil {
				cases = slices.Concat(cases, badBodies(good), badFields(k, good))
			}
			if k.on != "" {
				cases = append(cases, badIDs(good)...)
			}
			before := w.dump(t)
			for _, b := range cases {
				res := s.Do(t, b.req)
				if res.Status != b.status {
					t.Errorf("%s: got %d %s, want %d", b.name, res.Status, res.Body, b.status)
				}
				servicetest.IsProblem(t, b.req, res)
			}
			if after := w.dump(t); after != before {
				t.Errorf("bad input has changed something:\n%s", servicetest.Difference(before, after))
			}
			s.Want(t, good, k.ok, "")
		})
	}
}

func badQueries(k call, good request) []bad {
	query := func(name, q string, status int) bad {
		return bad{name, with(good, func(r *request) { r.Path += "?" + q }), status}
	}
	cases := []bad{
		query("unknown parameter", "nonsense=1", 422), query("parameter that is not UTF-8", "%ff=1", 422),
		query("malformed query", "a=%zz", 400), query("semicolon", "a=1;b=2", 400),
	}
	if k.list {
		for _, limit := range []string{"0", "-1", "101", "1e1", "ten", "99999999999999999999", "%F0%9F%8E%88", "1.5", "0x10"} {
			cases = append(cases, query("limit "+limit, "limit="+limit, 422))
		}
		for _, cursor := range []string{"x", "%00", "bnVsbA", "e30", "eyJpZCI6MX0", "eyJpZCI6Iifwn46IIn0", "eyJpZCI6IiJ9", "eyJ1c2VyX2lkIjoiIn0", strings.Repeat("A", 5000), "%ff"} {
			cases = append(cases, query("cursor "+cursor, "cursor="+cursor, 422))
		}
		cases = append(cases, query("limit twice", "limit=1&limit=2", 422))
	}
	for f, values := range k.filters {
		for _, v := range values {
			cases = append(cases, query(f+" "+v, f+"="+url.QueryEscape(v), 422))
		}
		cases = append(cases, query(f+" twice", f+"=&"+f+"=", 422), query(f+" not UTF-8", f+"=%ff", 422))
	}
	return cases
}

func badBodies(good request) []bad {
	body, _ := json.Marshal(good.Body) // what can be sent can be marshalled
	text := string(body)
	var cases []bad
	for name, body := range map[string]string{
		"empty": "", "cut off": text[:len(text)-1], "not JSON": "title=a", "null": "null", "array": "[" + text + "]", "text": `"x"`, "number": "1",
		"second object": text + text, "trailing text": text + " x", "not UTF-8": strings.Replace(text, `":`, "\":\"\xff\",\"x\":", 1),
		"byte order mark": "\ufeff" + text, "UTF-16": "\xff\xfe{\x00}\x00", "single quotes": "{'a':1}", "comment": "/**/" + text,
		"deep": `{"x":` + strings.Repeat("[", 20_000), "NUL bytes": "\x00\x00",
	} {
		cases = append(cases, bad{name, with(good, func(r *request) { r.Body = body }), 400})
	}
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "json", ";;"} {
		cases = append(cases, bad{"content type " + contentType, with(good, func(r *request) { r.Header = http.Header{"Content-Type": {contentType}} }), 415})
	}
	huge := map[string]any{"padding": strings.Repeat("x", 2<<20)}
	return append(cases, bad{"2 MiB", with(good, func(r *request) { r.Body = huge }), 413})
}

func badFields(k call, good request) []bad {
	body := good.Body.(map[string]any)
	change := func(name, field string, value any) bad {
		changed := maps.Clone(body)
		changed[field] = value
		return bad{field + " " + name, with(good, func(r *request) { r.Body = changed }), 422}
	}
	cases := []bad{change("", "nonsense", "x"), change("", "id", "x"), change("", "status", "published"), change("", "version", 1)}
	for field, value := range body {
		for _, other := range []any{1, 1.5, 1e300, "99999999999999999999", true, []string{"x"}, map[string]string{"x": "y"}, strings.Repeat("a", 500_000)} {
			if sameType(value, other) {
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
			cases = append(cases, bad{field + " missing", with(good, func(r *request) { r.Body = without }), 422})
		}
	}
	return cases
}

// sameType reports a value that a field of the other's type takes. A fraction is no whole number.
func sameType(a, b any) bool {
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

func (w *world) badTokens(good request) []bad {
	var claims jwt.MapClaims
	if _, _, err := jwt.NewParser().ParseUnverified(good.Token, &claims); err != nil {
		panic(err) // the harness made it
	}
	subject, _ := claims.GetSubject()
	sign := func(change func(*auth.Claims)) string {
		return w.iss.Sign(func(c *auth.Claims) { c.Subject = subject; change(c) })
	}
	head, _, _ := strings.Cut(good.Token, ".")
	unsigned := "eyJhbGciOiJub25lIn0" + good.Token[len(head):strings.LastIndexByte(good.Token, '.')+1]
	var cases []bad
	for name, token := range map[string]string{
		"expired":         sign(func(c *auth.Claims) { c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(-time.Minute)) }),
		"without end":     sign(func(c *auth.Claims) { c.ExpiresAt = nil }),
		"for another":     sign(func(c *auth.Claims) { c.Audience = jwt.ClaimStrings{"other"} }),
		"of another":      sign(func(c *auth.Claims) { c.Issuer = "other" }),
		"without session": sign(func(c *auth.Claims) { c.SessionID = "" }),
		"without subject": sign(func(c *auth.Claims) { c.Subject = "" }),
		"unsigned":        unsigned, "changed": good.Token[:len(good.Token)-6] + "AAAAAA", "long": strings.Repeat("a", 5000), "nonsense": "x",
	} {
		cases = append(cases, bad{"token " + name, with(good, func(r *request) { r.Token = token }), 401})
	}
	for _, header := range []string{"Basic cm9vdDpyb290", "Bearer", "Bearer ", good.Token, "Token " + good.Token, "Bearer " + good.Token + " x", "Bearer \"" + good.Token + "\""} {
		cases = append(cases, bad{"authorization", with(good, func(r *request) { r.Token, r.Header = "", http.Header{"Authorization": {header}} }), 401})
	}
	return append(cases, bad{"two tokens", with(good, func(r *request) {
		r.Token, r.Header = "", http.Header{"Authorization": {"Bearer " + good.Token, "Bearer " + good.Token}}
	}), 401})
}

// badIDs puts other things where the path has ids.
func badIDs(good request) []bad {
	var cases []bad
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
			cases = append(cases, bad{"id " + name, with(good, func(r *request) { r.Path = put(other) }), 404})
		}
		cases = append(cases, bad{"id not UTF-8", with(good, func(r *request) { r.Path = put("%ff") }), 400})
	}
	return cases
}
