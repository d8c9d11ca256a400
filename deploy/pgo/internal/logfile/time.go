package logfile

import (
	"bytes"
	"regexp"
	"strconv"
	"time"
)

// maxHead is the number of bytes at a line's start in which its time is searched.
const maxHead = 512

// timeFormats are the formats in which programs write a line's time. Those without a zone mean the machine's own.
var timeFormats = []struct {
	find    *regexp.Regexp
	layouts []string
}{
	{regexp.MustCompile(`^\{.*?"(?:ts|time|timestamp|@timestamp)":\s*"([^"]+)"`), []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700"}},
	{regexp.MustCompile(`^\[?(\d{4}-\d\d-\d\d[T ][ \d]\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?)`), []string{
		time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999",
		"2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", // RabbitMQ, MariaDB
	}},
	{regexp.MustCompile(`^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(?:\.\d+)?)`), []string{"2006/01/02 15:04:05.999999999"}},            // nginx, Go's log
	{regexp.MustCompile(`^\d+:[A-Z] (\d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d\.\d{3})`), []string{"02 Jan 2006 15:04:05.000"}}, // Redis
	{regexp.MustCompile(`^epmd: ([A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4})`), []string{"Mon Jan 2 15:04:05 2006"}},
}

var unixTimePattern = regexp.MustCompile(`^\{.*?"(?:ts|time|timestamp)":\s*(\d{9,10}(?:\.\d+)?)[,}]`)

// ParseTime returns the time that a line carries, and whether it carries one.
func ParseTime(line []byte) (time.Time, bool) {
	head := line[:min(len(line), maxHead)]
	for _, s := range timeFormats {
		found := s.find.FindSubmatch(head)
		if found == nil {
			continue
		}
		text := string(bytes.ReplaceAll(found[1], []byte("  "), []byte(" 0"))) // MariaDB before 10:00
		for _, layout := range s.layouts {
			if at, err := time.ParseInLocation(layout, text, time.Local); err == nil {
				return at, true
			}
		}
		return time.Time{}, false
	}
	if found := unixTimePattern.FindSubmatch(head); found != nil {
		if s, err := strconv.ParseFloat(string(found[1]), 64); err == nil {
			return time.UnixMicro(int64(s * 1e6)), true
		}
	}
	return time.Time{}, false
}
