package logview

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"pgo/deploy/pgo/internal/logfile"
)

// record is a line of a log, taken apart where it is a JSON object.
type record struct {
	isJSON  bool
	at      time.Time
	level   level
	message string
	fields  []field // the others, in their order
}

type field struct {
	key   string
	value json.RawMessage
}

// level is the severity of a line; 0 where it has none.
type level int

const (
	levelDebug level = iota + 1
	levelInfo
	levelWarn
	levelError
	levelFatal
)

var levelNames = map[string]level{
	"trace": levelDebug, "debug": levelDebug, "info": levelInfo, "notice": levelInfo, "warn": levelWarn, "warning": levelWarn,
	"error": levelError, "err": levelError, "dpanic": levelFatal, "panic": levelFatal, "fatal": levelFatal, "critical": levelFatal,
}

// parseLevel reads the value of a level in JSON: a name as of zap, slog and zerolog, or a number as of pino.
func parseLevel(value json.RawMessage) level {
	text := strings.Trim(string(value), `"`)
	if n, err := strconv.Atoi(text); err == nil {
		return min(max(level(n/10-1), levelDebug), levelFatal)
	}
	name, _, _ := strings.Cut(strings.ToLower(text), "+") // slog's levels between the named ones
	return levelNames[name]
}

// parseRecord takes a line apart. A line that is not a JSON object with a message is a message as a whole.
func parseRecord(line []byte) record {
	text := strings.TrimRight(string(line), "\r\n")
	plain := record{message: text}
	if !strings.HasPrefix(text, "{") {
		return plain
	}
	r := record{isJSON: true}
	r.at, _ = logfile.ParseTime(line)
	decoder := json.NewDecoder(strings.NewReader(text))
	if _, err := decoder.Token(); err != nil {
		return plain
	}
	hasMessage := false
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return plain
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return plain
		}
		switch name, _ := key.(string); name {
		case "ts", "time", "timestamp", "@timestamp":
			if r.at.IsZero() {
				r.fields = append(r.fields, field{name, value})
			}
		case "level", "lvl", "severity":
			if r.level = parseLevel(value); r.level == 0 {
				r.fields = append(r.fields, field{name, value})
			}
		case "msg", "message":
			r.message, hasMessage = formatValue(value), true
		default:
			r.fields = append(r.fields, field{name, value})
		}
	}
	if end, err := decoder.Token(); err != nil || end != json.Delim('}') || len(bytes.TrimSpace([]byte(text[decoder.InputOffset():]))) > 0 || !hasMessage {
		return plain
	}
	return r
}

// formatValue returns a JSON value as text: strings without quotes, everything else as it is.
func formatValue(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) == nil {
		return text
	}
	return string(value)
}
