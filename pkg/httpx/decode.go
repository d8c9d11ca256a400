package httpx

import (
	"errors"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"pgo/pkg/problem"
)

// strictDecoding holds the rules of request bodies. On top of them the library itself compares names with their case, and
// refuses names that occur twice.
var strictDecoding = json.JoinOptions(
	json.RejectUnknownMembers(true),
	json.WithUnmarshalers(json.UnmarshalFromFunc(unmarshalStrictly)),
)

// errWrongFormat is the cause of a value that has the right JSON type and not the form that its field needs.
var errWrongFormat = errors.New("wrong format")

// decodeObject decodes one JSON object into dst. It reads the text twice at most: a text that is not JSON is refused as such,
// whatever its first fields are, then the first fault ends the decoding. It returns the fault as a problem.
func decodeObject(text []byte, dst any) error {
	if !jsontext.Value(text).IsValid(jsontext.AllowDuplicateNames(true)) {
		return malformedJSON("The body is not well-formed JSON.")
	}
	err := json.Unmarshal(text, dst, strictDecoding)
	if err == nil {
		return nil
	}
	if s, ok := errors.AsType[*jsontext.SyntacticError](err); ok && errors.Is(err, jsontext.ErrDuplicateName) {
		return invalidField(s.JSONPointer, "repeated", "must be given once")
	}
	s, ok := errors.AsType[*json.SemanticError](err)
	switch {
	case !ok:
		return err
	case errors.Is(err, json.ErrUnknownName):
		return invalidField(s.JSONPointer, "unknown_field", "is not a field of this request")
	case errors.Is(err, errWrongFormat):
		return invalidField(s.JSONPointer, "wrong_format", "does not have the form that this field needs")
	}
	return invalidField(s.JSONPointer, "wrong_type", "must not be a JSON "+describeValue(s))
}

// invalidField returns the problem of the field that the pointer names, as "address.zip". The indexes of lists are left out.
func invalidField(at jsontext.Pointer, code, message string) error {
	var names []string
	for name := range at.Tokens() {
		if _, err := strconv.ParseUint(name, 10, 64); err != nil || len(names) == 0 {
			names = append(names, name)
		}
	}
	return problem.Invalid(problem.Field{Field: truncate(strings.Join(names, ".")), Code: code, Message: message})
}

// describeValue returns the kind of the refused value, with the text of a number.
func describeValue(s *json.SemanticError) string {
	switch s.JSONKind {
	case jsontext.KindNull:
		return "null"
	case jsontext.KindTrue, jsontext.KindFalse:
		return "bool"
	case jsontext.KindNumber:
		return truncate(strings.TrimSpace("number " + string(s.JSONValue)))
	case jsontext.KindBeginObject:
		return "object"
	case jsontext.KindBeginArray:
		return "array"
	}
	return "string"
}

// unmarshalStrictly decodes what the library decodes too loosely or too narrowly: it refuses null unless the field is a
// pointer, takes 20.0 for an integer, and reads times as RFC 3339 defines them. It leaves all else to the library.
func unmarshalStrictly(d *jsontext.Decoder, dst any) error {
	kind := d.PeekKind()
	field := reflect.ValueOf(dst).Elem()
	switch t, isTime := dst.(*time.Time); {
	case kind == jsontext.KindNull && field.Kind() != reflect.Pointer:
		return &json.SemanticError{JSONKind: kind}
	case isTime && kind != jsontext.KindNull:
		text, err := d.ReadValue()
		if err != nil {
			return err
		}
		s, err := jsontext.AppendUnquote(nil, text)
		if err != nil {
			return errWrongFormat
		}
		if *t, err = ParseTime(string(s)); err != nil {
			return errWrongFormat
		}
		return nil
	case field.CanInt() && kind == jsontext.KindNumber:
		text, err := d.ReadValue()
		if err != nil {
			return err
		}
		n, ok := parseInteger(string(text))
		if !ok || field.OverflowInt(n) {
			return &json.SemanticError{JSONKind: kind, JSONValue: text.Clone()}
		}
		field.SetInt(n)
		return nil
	}
	return errors.ErrUnsupported
}

// parseInteger returns the integer that a JSON number is, in any of its spellings: 20, 20.0 and 2e1 are the same.
func parseInteger(text string) (int64, bool) {
	if !strings.ContainsAny(text, ".eE") {
		n, err := strconv.ParseInt(text, 10, 64)
		return n, err == nil
	}
	// 15 digits and integers up to 2^53 are exact.
	const maxDigits, maxExact = 15, 1 << 53
	mantissa := text
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		mantissa = text[:i]
	}
	digits := strings.Trim(strings.ReplaceAll(strings.TrimPrefix(mantissa, "-"), ".", ""), "0")
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || len(digits) > maxDigits || digits != "" && f == 0 || math.Abs(f) > maxExact || f != math.Trunc(f) {
		return 0, false
	}
	return int64(f), true
}

// timePattern matches RFC 3339, which time.Parse takes too loosely: it takes hours of one digit, a comma, and any offset.
var timePattern = regexp.MustCompile(`^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// ParseTime returns the time that an RFC 3339 text is. T and Z may be in lower case, as RFC 3339 allows. Offsets of a day
// and more are refused.
func ParseTime(text string) (time.Time, error) {
	if !timePattern.MatchString(text) {
		return time.Time{}, errWrongFormat
	}
	return time.Parse(time.RFC3339, strings.ToUpper(text))
}
