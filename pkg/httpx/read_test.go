package httpx_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"

	"pgo/pkg/httpx"
	"pgo/pkg/problem"
)

type address struct {
	City string `json:"city"`
	Zip  int    `json:"zip"`
}

type input struct {
	Name    string                    `json:"name"`
	Age     int8                      `json:"age"`
	Tags    []string                  `json:"tags"`
	Address address                   `json:"address"`
	Note    httpx.Optional[string]    `json:"note"`
	Home    httpx.Optional[address]   `json:"home"`
	DueAt   time.Time                 `json:"due_at"`
	Until   httpx.Optional[time.Time] `json:"until"`
}

// reader is an edge that reads an input at POST /read and passes it to got.
func reader(t testing.TB, got *input, change func(*httpx.Config)) edge {
	e := newEdge(t, nil, change)
	e.POST("/read", httpx.Handle(func(c *gin.Context) error {
		*got = input{}
		if err := httpx.ReadJSON(c, got); err != nil {
			return err
		}
		c.Status(http.StatusNoContent)
		return nil
	}))
	return e
}

func TestReadJSONAccepts(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tc := range []struct {
		name, contentType, body string
		want                    input
	}{
		{"one field", "application/json", `{"name":"A"}`, input{Name: "A"}},
		{"a charset and spaces", "Application/JSON; charset=UTF-8", " \n{ \"age\" : 7 }\r\n", input{Age: 7}},
		{"emoji and right to left", "application/json", `{"name":"👩‍🏫 שלום مرحبا","tags":["\u0645"]}`, input{Name: "👩‍🏫 שלום مرحبا", Tags: []string{"م"}}},
		{"nested", "application/json", `{"address":{"city":"B","zip":1}}`, input{Address: address{"B", 1}}},
		{"optional", "application/json", `{"note":"","home":{"zip":2},"until":"2026-01-02T03:04:05Z"}`, input{
			Note: httpx.Optional[string]{Set: true}, Home: httpx.Optional[address]{Set: true, Value: address{Zip: 2}},
			Until: httpx.Optional[time.Time]{Set: true, Value: at}}},
		{"a time", "application/json", `{"due_at":"2026-01-02T03:04:05Z"}`, input{DueAt: at}},
		{"a time in lower case", "application/json", `{"due_at":"2026-01-02t03:04:05z"}`, input{DueAt: at}},
		{"a time with an escape", "application/json", `{"due_at":"2026-01-02T03:04:05\u005a"}`, input{DueAt: at}},
		{"an integer with a fraction of 0", "application/json", `{"age":20.0,"address":{"zip":-1.00}}`, input{Age: 20, Address: address{Zip: -1}}},
		{"an integer with an exponent", "application/json", `{"age":2e1,"home":{"zip":1200E-2}}`, input{Age: 20, Home: httpx.Optional[address]{Set: true, Value: address{Zip: 12}}}},
		{"zero in other spellings", "application/json", `{"age":-0.0,"address":{"zip":0e9}}`, input{}},
		{"empty object", "application/json", `{}`, input{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got input
			w := reader(t, &got, nil).do(http.MethodPost, "/read", tc.body, "Content-Type", tc.contentType)
			if w.Code != http.StatusNoContent {
				t.Fatalf("got %d: %s", w.Code, w.Body)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadJSONRejects(t *testing.T) {
	const js = "application/json"
	for _, tc := range []struct {
		name, contentType, body string
		status                  int
		code                    string
		field, fieldCode        string
	}{
		{"no content type", "", `{}`, 415, "unsupported_media_type", "", ""},
		{"a form", "application/x-www-form-urlencoded", `{}`, 415, "unsupported_media_type", "", ""},
		{"text", "text/plain", `{}`, 415, "unsupported_media_type", "", ""},
		{"a patch format", "application/merge-patch+json", `{}`, 415, "unsupported_media_type", "", ""},
		{"a broken content type", "application/json; =", `{}`, 415, "unsupported_media_type", "", ""},
		{"empty", js, "", 400, "malformed_json", "", ""},
		{"spaces", js, " \n", 400, "malformed_json", "", ""},
		{"cut off", js, `{"name":"A"`, 400, "malformed_json", "", ""},
		{"single quotes", js, `{'name':'A'}`, 400, "malformed_json", "", ""},
		{"an array", js, `[{}]`, 400, "malformed_json", "", ""},
		{"null", js, `null`, 400, "malformed_json", "", ""},
		{"a string", js, `"x"`, 400, "malformed_json", "", ""},
		{"two objects", js, `{}{}`, 400, "malformed_json", "", ""},
		{"data after it", js, `{} x`, 400, "malformed_json", "", ""},
		{"invalid UTF-8", js, "{\"name\":\"\xff\"}", 400, "malformed_json", "", ""},
		{"half a character", js, "{\"name\":\"\xe2\x82\"}", 400, "malformed_json", "", ""},
		{"UTF-16", js, "{\x00}\x00", 400, "malformed_json", "", ""},
		{"byte order mark", js, "\xef\xbb\xbf{}", 400, "malformed_json", "", ""},
		{"nested very deep", js, `{"name":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, 400, "malformed_json", "", ""},
		{"unknown field", js, `{"naem":"A"}`, 422, "validation_failed", "naem", "unknown_field"},
		{"unknown nested field", js, `{"address":{"street":"A"}}`, 422, "validation_failed", "address.street", "unknown_field"},
		{"unknown field in an optional object", js, `{"home":{"street":"A"}}`, 422, "validation_failed", "home.street", "unknown_field"},
		{"another case", js, `{"Name":"A"}`, 422, "validation_failed", "Name", "unknown_field"},
		{"capitals", js, `{"NAME":"A"}`, 422, "validation_failed", "NAME", "unknown_field"},
		{"a letter that folds to another", js, `{"tagſ":[]}`, 422, "validation_failed", "tagſ", "unknown_field"},
		{"a field twice", js, `{"name":"A","name":"B"}`, 422, "validation_failed", "name", "repeated"},
		{"a field twice, once escaped", js, `{"name":"A","n\u0061me":"B"}`, 422, "validation_failed", "name", "repeated"},
		{"a nested field twice", js, `{"home":{"zip":1,"zip":1}}`, 422, "validation_failed", "home.zip", "repeated"},
		{"null for a string", js, `{"name":null}`, 422, "validation_failed", "name", "wrong_type"},
		{"null for a number", js, `{"age":null}`, 422, "validation_failed", "age", "wrong_type"},
		{"null for a list", js, `{"tags":null}`, 422, "validation_failed", "tags", "wrong_type"},
		{"null for an object", js, `{"address":null}`, 422, "validation_failed", "address", "wrong_type"},
		{"null for a time", js, `{"due_at":null}`, 422, "validation_failed", "due_at", "wrong_type"},
		{"null in a list", js, `{"tags":[null]}`, 422, "validation_failed", "tags", "wrong_type"},
		{"unknown field with a quote", js, `{"a\"b":1}`, 422, "validation_failed", `a"b`, "unknown_field"},
		{"number for a string", js, `{"name":1}`, 422, "validation_failed", "name", "wrong_type"},
		{"string for a number", js, `{"age":"1"}`, 422, "validation_failed", "age", "wrong_type"},
		{"number too large", js, `{"age":300}`, 422, "validation_failed", "age", "wrong_type"},
		{"fraction", js, `{"age":1.5}`, 422, "validation_failed", "age", "wrong_type"},
		{"almost an integer", js, `{"age":1.0000000000000000001}`, 422, "validation_failed", "age", "wrong_type"},
		{"a tiny fraction", js, `{"age":1e-999}`, 422, "validation_failed", "age", "wrong_type"},
		{"number too large with an exponent", js, `{"age":3e2}`, 422, "validation_failed", "age", "wrong_type"},
		{"number beyond all bounds", js, `{"age":1e999}`, 422, "validation_failed", "age", "wrong_type"},
		{"wrong type nested", js, `{"address":{"zip":"x"}}`, 422, "validation_failed", "address.zip", "wrong_type"},
		{"wrong type in a list", js, `{"tags":["a",1]}`, 422, "validation_failed", "tags", "wrong_type"},
		{"object for a list", js, `{"tags":{}}`, 422, "validation_failed", "tags", "wrong_type"},
		{"null in an optional", js, `{"note":null}`, 422, "validation_failed", "note", "wrong_type"},
		{"wrong type in an optional", js, `{"note":7}`, 422, "validation_failed", "note", "wrong_type"},
		{"wrong type nested in an optional", js, `{"home":{"zip":"x"}}`, 422, "validation_failed", "home.zip", "wrong_type"},
		{"not a time", js, `{"name":"A","due_at":"tomorrow"}`, 422, "validation_failed", "due_at", "wrong_format"},
		{"number for a time", js, `{"due_at":7}`, 422, "validation_failed", "due_at", "wrong_format"},
		{"an offset of a day", js, `{"due_at":"2026-01-02T03:04:05+24:00"}`, 422, "validation_failed", "due_at", "wrong_format"},
		{"an offset of 60 minutes", js, `{"due_at":"2026-01-02T03:04:05+01:60"}`, 422, "validation_failed", "due_at", "wrong_format"},
		{"a time without an offset", js, `{"due_at":"2026-01-02T03:04:05"}`, 422, "validation_failed", "due_at", "wrong_format"},
		{"an hour of one digit", js, `{"due_at":"2026-01-02T3:04:05Z"}`, 422, "validation_failed", "due_at", "wrong_format"},
		{"a comma before the fraction", js, `{"due_at":"2026-01-02T03:04:05,5Z"}`, 422, "validation_failed", "due_at", "wrong_format"},
		{"not a time in an optional", js, `{"until":"2026-13-01T00:00:00Z"}`, 422, "validation_failed", "until", "wrong_format"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got input
			w := reader(t, &got, nil).do(http.MethodPost, "/read", tc.body, "Content-Type", tc.contentType)
			if w.Code != tc.status {
				t.Fatalf("got %d, want %d: %s", w.Code, tc.status, w.Body)
			}
			p := readProblem(t, w.Header(), w.Code, w.Body.Bytes())
			if p.Code != tc.code {
				t.Errorf("code %s, want %s", p.Code, tc.code)
			}
			if tc.field == "" {
				if len(p.Errors) != 0 {
					t.Errorf("errors %v", p.Errors)
				}
				return
			}
			if len(p.Errors) != 1 || p.Errors[0].Field != tc.field || p.Errors[0].Code != tc.fieldCode || p.Errors[0].Message == "" {
				t.Errorf("errors %+v, want %s %s", p.Errors, tc.field, tc.fieldCode)
			}
		})
	}
}

func TestContentCodingIsRefused(t *testing.T) {
	var got input
	e := reader(t, &got, nil)
	for coding, want := range map[string]int{"gzip": 415, "GZIP": 415, "br": 415, "identity, gzip": 415, "identity": 204, "": 204} {
		w := e.do(http.MethodPost, "/read", `{"name":"A"}`, "Content-Type", "application/json", "Content-Encoding", coding)
		if w.Code != want {
			t.Errorf("%q: got %d, want %d: %s", coding, w.Code, want, w.Body)
		}
		if want == 415 {
			if p := readProblem(t, w.Header(), w.Code, w.Body.Bytes()); p.Code != "unsupported_media_type" || w.Header().Get("Accept-Encoding") != "identity" {
				t.Errorf("%q: code %s, Accept-Encoding %q", coding, p.Code, w.Header().Get("Accept-Encoding"))
			}
		}
	}
}

func TestLongInputIsTruncatedInTheAnswer(t *testing.T) {
	long := strings.Repeat("é", 100_000)
	for name, body := range map[string]string{"unknown field": `{"` + long + `":1}`, "number": `{"age":1` + strings.Repeat("0", 100_000) + `}`} {
		t.Run(name, func(t *testing.T) {
			var got input
			w := reader(t, &got, nil).do(http.MethodPost, "/read", body, "Content-Type", "application/json")
			readProblem(t, w.Header(), http.StatusUnprocessableEntity, w.Body.Bytes())
			if w.Body.Len() > 2000 {
				t.Errorf("the answer has %d bytes", w.Body.Len())
			}
		})
	}
}

// untouched is a body that must not be asked for.
type untouched struct{ t *testing.T }

func (u untouched) Read([]byte) (int, error) {
	u.t.Error("the body was sent")
	return 0, io.EOF
}

func TestBodyLimitOverASocket(t *testing.T) {
	const limit = 1 << 20
	var got input
	e := reader(t, &got, nil)
	srv := httptest.NewServer(e)
	defer srv.Close()
	sized := func(n int) []byte {
		return append(append([]byte(`{"name":"`), bytes.Repeat([]byte("a"), n-len(`{"name":""}`))...), `"}`...)
	}
	for _, tc := range []struct {
		name   string
		size   int
		hidden bool // no Content-Length
		path   string
		status int
	}{
		{"just fits", limit, false, "/read", 204},
		{"just fits, chunked", limit, true, "/read", 204},
		{"one too many", limit + 1, false, "/read", 413},
		{"one too many, chunked", limit + 1, true, "/read", 413},
		{"2 MiB", 2 << 20, false, "/read", 413},
		{"2 MiB, chunked", 2 << 20, true, "/read", 413},
		{"8 MiB, chunked", 8 << 20, true, "/read", 413},
		{"2 MiB where nothing is", 2 << 20, false, "/nothing", 413},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for range 5 { // a reset that overtakes the answer would not come every time
				var body io.Reader = bytes.NewReader(sized(tc.size))
				if tc.hidden {
					body = io.MultiReader(body)
				}
				res, err := srv.Client().Post(srv.URL+tc.path, "application/json", body)
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil {
					t.Fatal(err)
				}
				if res.StatusCode != tc.status {
					t.Fatalf("got %d, want %d: %s", res.StatusCode, tc.status, text)
				}
				if tc.status == 413 {
					if p := readProblem(t, res.Header, 413, text); p.Code != "body_too_large" {
						t.Errorf("code %s", p.Code)
					}
				}
			}
		})
	}
	t.Run("asked before it is sent", func(t *testing.T) {
		r, err := http.NewRequest(http.MethodPost, srv.URL+"/read", untouched{t})
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = 2 << 20
		r.Header.Set("Expect", "100-continue")
		client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: 30 * time.Second, TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}}
		defer client.CloseIdleConnections()
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != 413 {
			t.Errorf("got %d", res.StatusCode)
		}
	})
}

func TestReadQuery(t *testing.T) {
	e := newEdge(t, nil, nil)
	e.GET("/list", httpx.Handle(func(c *gin.Context) error {
		q, err := httpx.ReadQuery(c, "limit", "role", "q")
		if err != nil {
			return err
		}
		role, err := httpx.QueryOneOf(q, "role", "user", "admin")
		if err != nil {
			return err
		}
		c.String(http.StatusOK, "%s|%s|%s", q.Get("limit"), role, q.Get("q"))
		return nil
	}))
	for _, tc := range []struct {
		name, query, body string
		status            int
		code              string
		field, fieldCode  string
	}{
		{name: "none", body: "||", status: 200},
		{name: "all", query: "limit=5&role=admin&q=%F0%9F%8E%88+%D7%A9", body: "5|admin|🎈 ש", status: 200},
		{name: "empty values", query: "limit=&role=", body: "||", status: 200},
		{name: "unknown", query: "limti=5", status: 422, code: "validation_failed", field: "limti", fieldCode: "unknown_parameter"},
		{name: "case counts", query: "Limit=5", status: 422, code: "validation_failed", field: "Limit", fieldCode: "unknown_parameter"},
		{name: "unknown in bad UTF-8", query: "%ff=5", status: 422, code: "validation_failed", field: "?", fieldCode: "unknown_parameter"},
		{name: "twice", query: "limit=5&limit=6", status: 422, code: "validation_failed", field: "limit", fieldCode: "repeated"},
		{name: "two wrong, the first by name", query: "z=1&a=1", status: 422, code: "validation_failed", field: "a", fieldCode: "unknown_parameter"},
		{name: "bad UTF-8", query: "q=%ff", status: 422, code: "validation_failed", field: "q", fieldCode: "invalid_utf8"},
		{name: "not among the values", query: "role=root", status: 422, code: "validation_failed", field: "role", fieldCode: "not_allowed"},
		{name: "broken escape", query: "q=%zz", status: 400, code: "malformed_query"},
		{name: "semicolon", query: "q=a;b=c", status: 400, code: "malformed_query"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := e.do(http.MethodGet, "/list?"+tc.query, "")
			if w.Code != tc.status {
				t.Fatalf("got %d, want %d: %s", w.Code, tc.status, w.Body)
			}
			if tc.status == 200 {
				if w.Body.String() != tc.body {
					t.Errorf("got %q, want %q", w.Body, tc.body)
				}
				return
			}
			p := readProblem(t, w.Header(), w.Code, w.Body.Bytes())
			if p.Code != tc.code {
				t.Errorf("code %s, want %s", p.Code, tc.code)
			}
			if tc.field != "" && (len(p.Errors) != 1 || p.Errors[0].Field != tc.field || p.Errors[0].Code != tc.fieldCode) {
				t.Errorf("errors %+v", p.Errors)
			}
		})
	}
}

func TestParseID(t *testing.T) {
	e := newEdge(t, nil, nil)
	e.GET("/things/:id", httpx.Handle(func(c *gin.Context) error {
		id, err := httpx.ParseID(c, "id")
		if err != nil {
			return err
		}
		c.String(http.StatusOK, id)
		return nil
	}))
	const good = "01900000-0000-7000-8000-00000000000a"
	if w := e.do(http.MethodGet, "/things/"+good, ""); w.Code != 200 || w.Body.String() != good {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	for _, bad := range []string{"1", "x", strings.ToUpper(good), "{" + good + "}", "urn:uuid:" + good, strings.ReplaceAll(good, "-", ""), "%ff", good + "%00"} {
		w := e.do(http.MethodGet, "/things/"+bad, "")
		if p := readProblem(t, w.Header(), http.StatusNotFound, w.Body.Bytes()); w.Code != 404 || p.Code != problem.CodeNotFound {
			t.Errorf("%s: got %d %s", bad, w.Code, p.Code)
		}
	}
}

func TestOptionalPointer(t *testing.T) {
	if p := (httpx.Optional[string]{}).Pointer(); p != nil {
		t.Errorf("absent: %q", *p)
	}
	if p := (httpx.Optional[string]{Set: true, Value: "x"}).Pointer(); p == nil || *p != "x" {
		t.Errorf("set: %v", p)
	}
}

func FuzzReadJSON(f *testing.F) {
	var got input
	e := reader(f, &got, nil)
	for _, s := range []string{`{"name":"A","home":{"zip":1}}`, `{"note":null}`, `{"due_at":"x"}`, "{\"\xff\":1}", `{"a":1}{`, `{"age":1e99}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		w := e.do(http.MethodPost, "/read", string(body), "Content-Type", "application/json")
		switch w.Code {
		case 204:
		case 400, 413, 422:
			readProblem(t, w.Header(), w.Code, []byte(strings.NewReplacer("json:", "", "secret", "", "goroutine", "", ".go", "", "SELECT", "", "Go value", "").Replace(w.Body.String())))
		default:
			t.Errorf("got %d for %q", w.Code, body)
		}
	})
}
