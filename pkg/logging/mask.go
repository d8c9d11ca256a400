package logging

import (
	"regexp"
	"strings"

	"go.uber.org/zap/zapcore"
)

// Mask replaces a value that must not be in a log.
const Mask = "***"

// sensitiveNames lists the parts of field names whose values are never written.
var sensitiveNames = []string{"password", "secret", "token", "authorization", "cookie", "email", "e_mail"}

var (
	emailPattern    = regexp.MustCompile(`[^\s@"'<>,;:=(]+@[^\s@"'<>,;:)]+\.?[^\s@"'<>,;:)]*`)
	bearerPattern   = regexp.MustCompile(`(?i)bearer\s+[^\s"',;]+`)
	tokenPattern    = regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]*`)
	userInfoPattern = regexp.MustCompile(`://[^/\s:@]*:[^/\s@]+@`)
)

// maskingCore masks what must not be in a log before it is encoded. It is a safety net: code must not log such values.
type maskingCore struct{ zapcore.Core }

func (c *maskingCore) With(fields []zapcore.Field) zapcore.Core {
	return &maskingCore{c.Core.With(maskFields(fields))}
}

func (c *maskingCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c *maskingCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	e.Message = maskText(e.Message)
	return c.Core.Write(e, maskFields(fields))
}

func maskFields(fields []zapcore.Field) []zapcore.Field {
	var out []zapcore.Field // a copy, made only when something changes: the fields are the caller's
	set := func(i int, s string) {
		if out == nil {
			out = append([]zapcore.Field(nil), fields...)
		}
		out[i] = zapcore.Field{Key: fields[i].Key, Type: zapcore.StringType, String: s}
	}
	for i, f := range fields {
		switch {
		case isSensitive(f.Key):
			set(i, Mask)
		case f.Type == zapcore.StringType:
			if m := maskText(f.String); m != f.String {
				set(i, m)
			}
		case f.Type == zapcore.ErrorType:
			if err, ok := f.Interface.(error); ok {
				set(i, maskText(err.Error()))
			}
		}
	}
	if out == nil {
		return fields
	}
	return out
}

func isSensitive(key string) bool {
	key = strings.ToLower(key)
	for _, s := range sensitiveNames {
		if strings.Contains(key, s) {
			return true
		}
	}
	return false
}

func maskText(s string) string {
	if strings.Contains(s, "@") {
		s = userInfoPattern.ReplaceAllString(s, "://"+Mask+"@")
		s = emailPattern.ReplaceAllString(s, Mask)
	}
	if strings.Contains(s, "eyJ") {
		s = tokenPattern.ReplaceAllString(s, Mask)
	}
	if strings.ContainsAny(s, " \t\n\f\r") { // ids, which are on every line, have none
		s = bearerPattern.ReplaceAllString(s, Mask)
	}
	return s
}
