package logview

import (
	"fmt"
	"regexp"
	"strings"
)

// Filter selects lines. The zero value selects all.
type Filter struct {
	pattern *regexp.Regexp
	minimum level
}

// NewFilter returns the filter for a regular expression and a lowest level; each may be empty.
func NewFilter(pattern, lowest string) (Filter, error) {
	var f Filter
	if pattern != "" {
		var err error
		if f.pattern, err = regexp.Compile(pattern); err != nil {
			return f, fmt.Errorf("--grep %q: %w", pattern, err)
		}
	}
	if lowest != "" {
		if f.minimum = levelNames[strings.ToLower(lowest)]; f.minimum == 0 {
			return f, fmt.Errorf("--level %s: expected debug, info, warn, error or fatal", lowest)
		}
	}
	return f, nil
}

func (f Filter) isSet() bool { return f.pattern != nil || f.minimum != 0 }

// matcher applies a filter to the lines of one log, in their order. A line without a level belongs to the line before it, as
// those of a stack trace do.
type matcher struct {
	filter Filter
	level  level // of the last line that had one
}

func (m *matcher) matches(line []byte) bool {
	if m.filter.minimum != 0 {
		if l := parseRecord(line).level; l != 0 {
			m.level = l
		}
		if m.level != 0 && m.level < m.filter.minimum {
			return false
		}
	}
	return m.filter.pattern == nil || m.filter.pattern.Match(line)
}
