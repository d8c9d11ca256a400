package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"pgo/pkg/servicetest"
)

// unlimited lets a test fail to sign in as often as it likes.
func unlimited() []string {
	return []string{"PGO_CFG_LOGIN__PAIR=1000000", "PGO_CFG_LOGIN__ACCOUNT=1000000", "PGO_CFG_LOGIN__ADDRESS=1000000"}
}

// bad is a request that must be refused with one of the statuses.
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
	s := w.start(t, unlimited()...)
	db := w.DB.Open(t)
	admin := w.admin(t, s, "root@example.org")
	forged, nobody := w.forgeries(t, s), s.signUp("Nobody")
	for _, k := range calls() {
		t.Run(k.name, func(t *testing.T) {
			s := s.in(t)
			c := w.castFor(k, s, admin)
			good := request{Method: k.method, Path: k.path(t, c), Token: c.token(k)}
			var body map[string]string
			if k.body != nil {
				body = k.body(t, c)
				good.Body = body
			}
			cases := badQueries(k, good)
			if k.body != nil {
				cases = append(cases, badBodies(good)...)
				cases = append(cases, badFields(k, good, body)...)
			}
			if k.who != anyone {
				cases = append(cases, badTokens(good, forged)...)
			}
			if k.who == adminOnly {
				cases = append(cases, bad{"not an admin", with(good, func(r *request) { r.Token = nobody.Access }), 403})
			}
			if c.other.ID != "" && strings.HasSuffix(good.Path, c.other.ID) || k.name == "end session" {
				cases = append(cases, badIDs(good)...)
			}
			if k.name == "end session" {
				cases = append(cases, bad{"somebody else's session", with(good, func(r *request) { r.Path = "/api/v1/auth/sessions/" + s.session(c.other) }), 404})
			}
			before := dump(t, db)
			for _, b := range cases {
				res := s.do(b.req)
				if res.Status != b.status {
					t.Errorf("%s: got %d %s, want %d", b.name, res.Status, res.Body, b.status)
				}
				servicetest.IsProblem(s.t, b.req, res)
			}
			if after := dump(t, db); after != before {
				t.Errorf("bad input has changed something:\n%s", servicetest.Difference(before, after))
			}
			s.want(good, k.ok, "")
		})
	}
}

func with(r request, change func(*request)) request {
	change(&r)
	return r
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
		for _, cursor := range []string{"x", "%00", "bnVsbA", "e30", "eyJpZCI6MX0", "eyJpZCI6Iifwn46IIn0", "eyJpZCI6IiJ9", strings.Repeat("A", 5000), "%ff"} {
			cases = append(cases, query("cursor "+cursor, "cursor="+cursor, 422))
		}
		cases = append(cases, query("limit twice", "limit=1&limit=2", 422))
	}
	for _, f := range k.filters {
		cases = append(cases, query(f+" unknown", f+"=nonsense", 422), query(f+" twice", f+"=&"+f+"=", 422), query(f+" not UTF-8", f+"=%ff", 422))
	}
	if k.name == "list users" {
		cases = append(cases, query("q not UTF-8", "q=%ff", 422), query("q too long", "q="+strings.Repeat("a", 255), 422))
	}
	return cases
}

func badBodies(good request) []bad {
	text, _ := json.Marshal(good.Body) // a map of texts always marshals
	var cases []bad
	for name, body := range map[string]string{
		"empty": "", "cut off": string(text[:len(text)-1]), "not JSON": "email=a", "null": "null", "array": "[" + string(text) + "]", "text": `"x"`, "number": "1",
		"second object": string(text) + string(text), "trailing text": string(text) + " x", "not UTF-8": strings.Replace(string(text), `":"`, "\":\"\xff", 1),
		"byte order mark": "\ufeff" + string(text), "UTF-16": "\xff\xfe{\x00}\x00", "single quotes": "{'a':1}", "comment": "/**/" + string(text),
		"deep": `{"x":` + strings.Repeat("[", 20_000), "NUL bytes": "\x00\x00",
	} {
		cases = append(cases, bad{name, with(good, func(r *request) { r.Body = body }), 400})
	}
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "json", ";;"} {
		cases = append(cases, bad{"content type " + contentType, with(good, func(r *request) { r.Header = http.Header{"Content-Type": {contentType}} }), 415})
	}
	huge := map[string]string{"padding": strings.Repeat("x", 2<<20)}
	maps.Copy(huge, good.Body.(map[string]string))
	return append(cases, bad{"2 MiB", with(good, func(r *request) { r.Body = huge }), 413})
}

func badFields(k call, good request, body map[string]string) []bad {
	change := func(name, field string, value any, status int) bad {
		changed := map[string]any{}
		for f, v := range body {
			changed[f] = v
		}
		changed[field] = value
		return bad{field + " " + name, with(good, func(r *request) { r.Body = changed }), status}
	}
	cases := []bad{change("", "nonsense", "x", 422), change("", "id", "x", 422), change("", "is_admin", true, 422)}
	for field := range body {
		for _, value := range []any{1, -1, 1e300, true, []string{"x"}, map[string]string{"x": "y"}} {
			text, _ := json.Marshal(value)
			cases = append(cases, change("is "+string(text), field, value, 422))
		}
		status := 422
		if said, ok := k.wrong[field]; ok {
			status = said
		}
		null := status
		if k.optional {
			null = 422
		}
		cases = append(cases,
			change("null", field, nil, null), change("empty", field, "", status), change("blank", field, " ", status),
			change("too long", field, strings.Repeat("a", 1000), status), change("far too long", field, strings.Repeat("a", 500_000), status),
			change("with control characters", field, "\x00\r\n\t", status))
		if !k.optional {
			without := map[string]string{}
			maps.Copy(without, body)
			delete(without, field)
			cases = append(cases, bad{field + " missing", with(good, func(r *request) { r.Body = without }), status})
		}
	}
	return cases
}

func badTokens(good request, forged map[string]string) []bad {
	var cases []bad
	for name, token := range forged {
		cases = append(cases, bad{"token " + name, with(good, func(r *request) { r.Token = token }), 401})
	}
	for _, header := range []string{"Basic cm9vdDpyb290", "Bearer", "Bearer ", good.Token, "Token " + good.Token, "Bearer " + good.Token + " x", "Bearer \"" + good.Token + "\""} {
		cases = append(cases, bad{"authorization", with(good, func(r *request) { r.Token, r.Header = "", http.Header{"Authorization": {header}} }), 401})
	}
	return append(cases, bad{"two tokens", with(good, func(r *request) {
		r.Token, r.Header = "", http.Header{"Authorization": {"Bearer " + good.Token, "Bearer " + good.Token}}
	}), 401})
}

func badIDs(good request) []bad {
	at := strings.LastIndexByte(good.Path, '/') + 1
	id := good.Path[at:]
	var cases []bad
	for name, other := range map[string]string{
		"unknown": "0190a000-0000-7000-8000-000000000000", "short": id[:35], "long": id + "0", "not a UUID": strings.Repeat("z", 36), "in braces": "%7B" + id + "%7D",
		"upper case": "0190A000-0000-7000-8000-000000000000", "very long": strings.Repeat("a", 8000), "number": "1", "negative": "-1", "emoji": url.PathEscape("🎈"),
		"SQL": url.PathEscape("' OR '1'='1"), "encoded slash": "..%2F..%2Fusers",
	} {
		cases = append(cases, bad{"id " + name, with(good, func(r *request) { r.Path = good.Path[:at] + other }), 404})
	}
	return append(cases, bad{"id not UTF-8", with(good, func(r *request) { r.Path = good.Path[:at] + "%ff" }), 400})
}
