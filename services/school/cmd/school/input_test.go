package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"pgo/pkg/auth"
	"pgo/pkg/servicetest"
)

// bad is a request that must be refused with the status.
type bad struct {
	name   string
	req    request
	status int
}

// TestBadInput makes every call in every wrong way: the answer is a problem with the right status, and nothing
// changes. Then it makes the call in the right way, which shows that it was the wrong part that was refused.
func TestBadInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.start(t)
	for _, k := range calls() {
		t.Run(k.name, func(t *testing.T) {
			c := w.campus(t, s)
			caller := k.caller(c)
			good := k.request(c, caller)
			cases := append(badQueries(k, good), badTokens(w, good, caller)...)
			if k.body != nil {
				cases = append(cases, badBodies(good)...)
				cases = append(cases, badFields(k, good)...)
			}
			cases = append(cases, badPaths(c, good)...)
			before := dump(t, s.DB)
			for _, b := range cases {
				res := c.s.do(b.req)
				if res.Status != b.status {
					t.Errorf("%s: got %d %s, want %d", b.name, res.Status, res.Body, b.status)
				}
				servicetest.IsProblem(t, b.req, res)
			}
			if after := dump(t, s.DB); after != before {
				t.Errorf("bad input has changed something:\n%s", servicetest.Difference(before, after))
			}
			c.s.want(good, k.ok(), "")
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
		for _, cursor := range []string{"x", "%00", "bnVsbA", "e30", "eyJpZCI6MX0", "eyJpZCI6Iifwn46IIn0", "eyJpZCI6IiJ9", "eyJuYW1lIjoieCIsInVzZXJfaWQiOiIifQ", strings.Repeat("A", 5000), "%ff"} {
			cases = append(cases, query("cursor "+cursor, "cursor="+cursor, 422))
		}
		cases = append(cases, query("limit twice", "limit=1&limit=2", 422))
	}
	for _, f := range k.filters {
		cases = append(cases, query(f+" unknown", f+"=nonsense", 422), query(f+" twice", f+"=&"+f+"=", 422), query(f+" not UTF-8", f+"=%ff", 422))
	}
	if k.name == "list members" {
		cases = append(cases, query("q not UTF-8", "q=%ff", 422), query("q too long", "q="+strings.Repeat("a", 101), 422))
	}
	return cases
}

func badBodies(good request) []bad {
	text, _ := json.Marshal(good.Body) // a map of texts, numbers and times always marshals
	var cases []bad
	for name, body := range map[string]string{
		"empty": "", "cut off": string(text[:len(text)-1]), "not JSON": "name=a", "null": "null", "array": "[" + string(text) + "]", "text": `"x"`, "number": "1",
		"second object": string(text) + string(text), "trailing text": string(text) + " x", "not UTF-8": strings.Replace(string(text), `":"`, "\":\"\xff", 1),
		"byte order mark": "\ufeff" + string(text), "UTF-16": "\xff\xfe{\x00}\x00", "single quotes": "{'a':1}", "comment": "/**/" + string(text),
		"deep": `{"x":` + strings.Repeat("[", 20_000), "NUL bytes": "\x00\x00",
	} {
		cases = append(cases, bad{name, with(good, func(r *request) { r.Body = body }), 400})
	}
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/csv", "json", ";;"} {
		cases = append(cases, bad{"content type " + contentType, with(good, func(r *request) { r.Header = http.Header{"Content-Type": {contentType}} }), 415})
	}
	huge := map[string]any{"padding": strings.Repeat("x", 2<<20)}
	maps.Copy(huge, good.Body.(map[string]any))
	return append(cases, bad{"2 MiB", with(good, func(r *request) { r.Body = huge }), 413})
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

func badFields(k call, good request) []bad {
	body := good.Body.(map[string]any)
	change := func(name, field string, value any) bad {
		changed := map[string]any{}
		maps.Copy(changed, body)
		changed[field] = value
		return bad{fmt.Sprintf("%s %.50v", field, name), with(good, func(r *request) { r.Body = changed }), 422}
	}
	cases := []bad{change("", "nonsense", "x"), change("", "id", "x"), change("", "user_id", "x"), change("", "version", 1)}
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
			cases = append(cases, bad{field + " missing", with(good, func(r *request) { r.Body = without }), 422})
		}
	}
	return cases
}

func badTokens(w *world, good request, caller person) []bad {
	forged := map[string]string{
		"without a subject":    w.issuer.Sign(func(c *auth.Claims) { c.Subject = "" }),
		"without a role":       w.issuer.Sign(func(c *auth.Claims) { c.Subject, c.Role = caller.ID, "" }),
		"without a session":    w.issuer.Sign(func(c *auth.Claims) { c.Subject, c.SessionID = caller.ID, "" }),
		"for another audience": w.issuer.Sign(func(c *auth.Claims) { c.Subject, c.Audience = caller.ID, []string{"other"} }),
		"of another issuer":    w.issuer.Sign(func(c *auth.Claims) { c.Subject, c.Issuer = caller.ID, "other" }),
		"without an end":       w.issuer.Sign(func(c *auth.Claims) { c.Subject, c.ExpiresAt = caller.ID, nil }),
		"that has expired": w.issuer.Sign(func(c *auth.Claims) {
			c.Subject, c.ExpiresAt = caller.ID, c.IssuedAt
			c.ExpiresAt.Time = c.ExpiresAt.AddDate(0, 0, -1)
		}),
		"with another signature":  good.Token[:len(good.Token)-8] + "AAAAAAAA",
		"that is cut off":         good.Token[:len(good.Token)/2],
		"that is much too long":   good.Token + strings.Repeat("A", 5000),
		"that is no token at all": "nonsense",
	}
	var cases []bad
	for name, token := range forged {
		cases = append(cases, bad{"token " + name, with(good, func(r *request) { r.Token = token }), 401})
	}
	for _, header := range []string{"Basic cm9vdDpyb290", "Bearer", "Bearer ", good.Token, "Token " + good.Token, "Bearer " + good.Token + " x"} {
		cases = append(cases, bad{"authorization", with(good, func(r *request) { r.Token, r.Header = "", http.Header{"Authorization": {header}} }), 401})
	}
	return append(cases, bad{"two tokens", with(good, func(r *request) {
		r.Token, r.Header = "", http.Header{"Authorization": {"Bearer " + good.Token, "Bearer " + good.Token}}
	}), 401})
}

// badPaths replaces each id and code in the path by what names nothing.
func badPaths(c campus, good request) []bad {
	var cases []bad
	for _, part := range strings.Split(good.Path, "/") {
		isID := uuid.Validate(part) == nil
		if !isID && part != c.code {
			continue
		}
		replaced := func(other string) request {
			return with(good, func(r *request) { r.Path = strings.Replace(r.Path, part, other, 1) })
		}
		// An id of nobody in the path of a member is somebody who is not a member, which has a code of its own.
		unknown := 404
		if good.Method == "PUT" && !strings.Contains(good.Path, classes+part) {
			unknown = 409
		}
		if good.Method == "DELETE" && part == c.code {
			unknown = 404
		}
		if isID {
			cases = append(cases, bad{"unknown id", replaced("0190a000-0000-7000-8000-000000000000"), unknown})
		}
		for name, other := range map[string]string{
			"short": part[:len(part)-1], "long": part + "0", "not an id": strings.Repeat("~", 36), "in braces": "%7B" + part + "%7D", "very long": strings.Repeat("a", 8000),
			"number": "1", "emoji": url.PathEscape("🎈🎈🎈🎈🎈🎈🎈🎈🎈🎈🎈🎈🎈🎈🎈🎈"), "SQL": url.PathEscape("' OR '1'='1"), "NUL": "%00", "wildcards": strings.Repeat("%25", 20), "encoded slash": "..%2F..%2Fschools",
		} {
			cases = append(cases, bad{part + " " + name, replaced(other), 404})
		}
		cases = append(cases, bad{"not UTF-8", replaced("%ff"), 400})
		if strings.ToUpper(part) != part {
			cases = append(cases, bad{"upper case", replaced(strings.ToUpper(part)), 404})
		}
	}
	return cases
}
