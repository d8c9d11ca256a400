package httpx

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"pgo/pkg/problem"
)

// maxDrainedBody bounds how much of a refused body is still read, so that a caller that is still sending reads the answer
// instead of a connection reset.
const maxDrainedBody = 8 << 20

func errTooLarge() error {
	return problem.New(problem.KindTooLarge, "body_too_large", "The request's body is too large.")
}

// drainBody reads a refused body, as far as maxDrainedBody says. It leaves a body alone that the caller holds back until it
// is asked for.
func drainBody(r *http.Request) {
	if r.Header.Get("Expect") == "" {
		_, _ = io.CopyN(io.Discard, r.Body, maxDrainedBody) // best effort
	}
}

// limitBody keeps handlers from reading more than most bytes of a body; reading more is 413. A body with a content coding is
// 415: nothing here decodes one, and its size would say nothing.
func limitBody(most int64) gin.HandlerFunc {
	return func(c *gin.Context) {
		body := c.Request.Body
		if coding := c.GetHeader("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") && c.Request.ContentLength != 0 {
			drainBody(c.Request)
			c.Header("Accept-Encoding", "identity") // RFC 9110, section 12.5.3
			WriteProblem(c, problem.New(problem.KindUnsupportedType, "unsupported_media_type", "The body must be sent without a content coding."))
			return
		}
		if c.Request.ContentLength > most {
			drainBody(c.Request)
			WriteProblem(c, errTooLarge())
			return
		}
		c.Request.Body = &limitedBody{ReadCloser: body, left: most}
		c.Next()
	}
}

type limitedBody struct {
	io.ReadCloser
	left int64
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errTooLarge()
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1] // one byte more tells a body that is too large from one that just fits
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		_, _ = io.CopyN(io.Discard, b.ReadCloser, maxDrainedBody)
		return n, errTooLarge()
	}
	return n, err
}

// ReadJSON reads the body into dst, strictly: 400 malformed_json unless it is one JSON object in UTF-8, 413 if it is too
// large, 415 for another content type, 422 for the first field that dst does not have by exactly that name, that occurs
// twice, that has another type, or that is null where dst has no pointer. Its cost is linear in the size of the body.
func ReadJSON(c *gin.Context, dst any) error {
	if mt, _, err := mime.ParseMediaType(c.GetHeader("Content-Type")); err != nil || mt != "application/json" {
		return problem.New(problem.KindUnsupportedType, "unsupported_media_type", "The body must be application/json.")
	}
	text, err := io.ReadAll(c.Request.Body)
	if err != nil {
		if _, ok := errors.AsType[*problem.Error](err); ok {
			return err
		}
		return malformedJSON("The body could not be read.").WithCause(err)
	}
	if !utf8.Valid(text) {
		return malformedJSON("The body is not UTF-8.")
	}
	if t := bytes.TrimSpace(text); len(t) == 0 || t[0] != '{' {
		return malformedJSON("The body must be one JSON object.")
	}
	return decodeObject(text, dst)
}

func malformedJSON(detail string) *problem.Error {
	return problem.New(problem.KindMalformed, "malformed_json", detail)
}

// truncate bounds the length of a caller's text in an answer.
func truncate(s string) string {
	const most = 100
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

// Optional is a JSON field that may be absent. Null is refused as a wrong type.
type Optional[T any] struct {
	Set   bool
	Value T
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom. The value is decoded with the rules of the whole body.
func (o *Optional[T]) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	o.Set = true
	return json.UnmarshalDecode(d, &o.Value)
}

// Pointer returns the value's address, nil when the field was absent.
func (o Optional[T]) Pointer() *T {
	if !o.Set {
		return nil
	}
	return &o.Value
}

// ReadQuery returns the query parameters. An unknown or repeated parameter and bad UTF-8 are 422, a malformed query is 400.
func ReadQuery(c *gin.Context, allowed ...string) (url.Values, error) {
	q, err := url.ParseQuery(c.Request.URL.RawQuery)
	if err != nil || !utf8.ValidString(c.Request.URL.Path) {
		return nil, problem.New(problem.KindMalformed, "malformed_query", "The query cannot be read.")
	}
	for _, name := range slices.Sorted(maps.Keys(q)) {
		switch values := q[name]; {
		case !slices.Contains(allowed, name):
			return nil, problem.Invalid(problem.Field{Field: truncate(strings.ToValidUTF8(name, "?")), Code: "unknown_parameter", Message: "is not a parameter of this call"})
		case len(values) > 1:
			return nil, problem.Invalid(problem.Field{Field: name, Code: "repeated", Message: "must be given once"})
		case !utf8.ValidString(values[0]):
			return nil, problem.Invalid(problem.Field{Field: name, Code: "invalid_utf8", Message: "must be UTF-8"})
		}
	}
	return q, nil
}

// QueryOneOf returns the parameter, which must be empty or one of values.
func QueryOneOf(q url.Values, name string, values ...string) (string, error) {
	v := q.Get(name)
	if v != "" && !slices.Contains(values, v) {
		return "", problem.Invalid(problem.Field{Field: name, Code: "not_allowed", Message: fmt.Sprintf("must be one of %s", strings.Join(values, ", "))})
	}
	return v, nil
}

// ParseID returns a path parameter that is a UUID in its usual form. Any other value names nothing: 404.
func ParseID(c *gin.Context, name string) (string, error) {
	id, err := uuid.Parse(c.Param(name))
	if err != nil || id.String() != c.Param(name) {
		return "", problem.NotFound()
	}
	return id.String(), nil
}
