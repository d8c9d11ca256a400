package servicetest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Rejection is a request that must be refused, and the status of the refusal.
type Rejection struct {
	Name    string
	Request Request
	Status  int
}

// With returns a copy of the request after change.
func (r Request) With(change func(*Request)) Request {
	change(&r)
	return r
}

// RejectedWhen returns the request after change, which must make it invalid.
func (r Request) RejectedWhen(name string, status int, change func(*Request)) Rejection {
	return Rejection{name, r.With(change), status}
}

// AssertRejected makes requests that must be refused: each answer is a problem with the right status, and dump, which
// returns the service's data, returns the same afterwards.
func (s *Instance) AssertRejected(t testing.TB, cases []Rejection, dump func() string) {
	t.Helper()
	before := dump()
	for _, c := range cases {
		res := s.Do(t, c.Request)
		if res.Status != c.Status {
			t.Errorf("%s: got %d %s, want %d", c.Name, res.Status, res.Body, c.Status)
		}
		AssertProblem(t, c.Request, res)
	}
	if after := dump(); after != before {
		t.Errorf("refused requests have changed the data:\n%s", DiffLines(before, after))
	}
}

// rejectedQuery returns the valid request with a query that must be refused.
func (r Request) rejectedQuery(name, query string, status int) Rejection {
	return r.RejectedWhen(name, status, func(r *Request) { r.Path += "?" + query })
}

// RejectedQueries returns the valid request with queries that no call accepts.
func RejectedQueries(good Request) []Rejection {
	return []Rejection{
		good.rejectedQuery("unknown parameter", "nonsense=1", 422), good.rejectedQuery("parameter that is not UTF-8", "%ff=1", 422),
		good.rejectedQuery("malformed query", "a=%zz", 400), good.rejectedQuery("semicolon", "a=1;b=2", 400),
	}
}

// RejectedPages returns the valid request for a list with pages that no list has.
func RejectedPages(good Request) []Rejection {
	cases := []Rejection{good.rejectedQuery("limit twice", "limit=1&limit=2", 422)}
	for _, limit := range []string{"0", "-1", "101", "1e1", "ten", "99999999999999999999", "%F0%9F%8E%88", "1.5", "0x10"} {
		cases = append(cases, good.rejectedQuery("limit "+limit, "limit="+limit, 422))
	}
	for _, cursor := range []string{
		"x", "%00", "bnVsbA", "e30", "eyJpZCI6MX0", "eyJpZCI6Iifwn46IIn0", "eyJpZCI6IiJ9", "eyJ1c2VyX2lkIjoiIn0", "eyJuYW1lIjoieCIsInVzZXJfaWQiOiIifQ", strings.Repeat("A", 5000), "%ff",
	} {
		cases = append(cases, good.rejectedQuery("cursor "+cursor, "cursor="+cursor, 422))
	}
	return cases
}

// RejectedParameters returns the valid request with values that the parameter does not accept, and with it twice and in bad
// UTF-8.
func RejectedParameters(good Request, name string, values ...string) []Rejection {
	cases := []Rejection{good.rejectedQuery(name+" twice", name+"=&"+name+"=", 422), good.rejectedQuery(name+" not UTF-8", name+"=%ff", 422)}
	for _, v := range values {
		cases = append(cases, good.rejectedQuery(name+" "+v, name+"="+url.QueryEscape(v), 422))
	}
	return cases
}

// RejectedBodies returns the valid request, whose body must be a JSON object, with bodies that are not an object, too large,
// or of another content type.
func RejectedBodies(good Request) []Rejection {
	body, _ := json.Marshal(good.Body) // a body that can be sent can be marshalled
	text := string(body)
	var cases []Rejection
	for name, body := range map[string]string{
		"empty": "", "cut off": text[:len(text)-1], "not JSON": "name=a", "null": "null", "array": "[" + text + "]", "text": `"x"`, "number": "1",
		"second object": text + text, "trailing text": text + " x", "not UTF-8": strings.Replace(text, `":`, "\":\"\xff\",\"x\":", 1),
		"byte order mark": "\ufeff" + text, "UTF-16": "\xff\xfe{\x00}\x00", "single quotes": "{'a':1}", "comment": "/**/" + text,
		"deep": `{"x":` + strings.Repeat("[", 20_000), "NUL bytes": "\x00\x00",
	} {
		cases = append(cases, good.RejectedWhen(name, 400, func(r *Request) { r.Body = body }))
	}
	for _, contentType := range []string{"", "text/plain", "text/csv", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "json", ";;"} {
		cases = append(cases, good.RejectedWhen("content type "+contentType, 415, func(r *Request) { r.Header = http.Header{"Content-Type": {contentType}} }))
	}
	huge := text[:len(text)-1] + `,"padding":"` + strings.Repeat("x", 2<<20) + `"}`
	return append(cases, good.RejectedWhen("2 MiB", 413, func(r *Request) { r.Body = huge }))
}

// RejectedTokens returns the valid request with each of the forged tokens, by its name, and with headers that carry no
// token.
func RejectedTokens(good Request, forged map[string]string) []Rejection {
	var cases []Rejection
	for name, token := range forged {
		cases = append(cases, good.RejectedWhen("token "+name, 401, func(r *Request) { r.Token = token }))
	}
	bearer := "Bearer " + good.Token
	for name, header := range map[string][]string{
		"basic": {"Basic cm9vdDpyb290"}, "no token": {"Bearer"}, "empty token": {"Bearer "}, "no scheme": {good.Token}, "another scheme": {"Token " + good.Token},
		"more": {bearer + " x"}, "quotes": {`Bearer "` + good.Token + `"`}, "twice": {bearer, bearer},
	} {
		cases = append(cases, good.RejectedWhen("authorization: "+name, 401, func(r *Request) { r.Token, r.Header = "", http.Header{"Authorization": header} }))
	}
	return cases
}
