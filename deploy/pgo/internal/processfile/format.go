package processfile

import (
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// format is the form of a text, named by `format=` in a jsonschema tag.
type format struct {
	expected string                     // for the error
	parse    func(s string) (any, bool) // returns a value that converts to the field's type
}

var formats = map[string]format{
	"timespan":         {"a time such as 500ms, 30s or 10m, at most 24h", parseTime},
	"days":             {"a time such as 12h or 14d, at most 3650d", parseDays},
	"size":             {"a size such as 512KB, 50MB or 1GB, at least 64KB", parseSize},
	"share":            {"a share such as 5% or 0.05, below 100%", parseShare},
	"cron":             {`a schedule such as "0 3 * * *" (minute, hour, day, month, weekday) or @daily`, parseSchedule},
	"signal":           {"a signal such as SIGTERM", func(s string) (any, bool) { return s, unix.SignalNum(s) != 0 }},
	"address":          {addressForm, func(s string) (any, bool) { return s, isAddress(s, true) }},
	"peer-address":     {addressForm, func(s string) (any, bool) { return s, isAddress(s, false) }},
	"optional-address": {addressForm, func(s string) (any, bool) { return s, s == "" || isAddress(s, true) }},
	"http-url":         {"a URL such as http://127.0.0.1:8080/readyz", func(s string) (any, bool) { return s, isHTTPURL(s) }},
	"host-name":        {"a host's name in small letters, without a port", matching(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)},
	"listener-name":    {"a listener's name", matching(namePattern.String())},
	"url-path":         {"a path such as /metrics", matching(`^/[a-zA-Z0-9/_.-]{0,199}$`)},
	"metric-name":      {"a metric's name", matching(`^[a-zA-Z_][a-zA-Z0-9_:]{0,199}$`)},
	"label-name":       {"a label's name", matching(`^[a-zA-Z_][a-zA-Z0-9_:]{0,199}$`)},
}

const (
	addressForm = "an IP address and port such as 127.0.0.1:8080"
	maxTime     = 24 * time.Hour
	maxDays     = 3650
	// minSize is the minimum size at which a log is rotated: smaller files would be rotated faster than they are read.
	minSize = 64 << 10
)

// namePattern is the form of the names of processes and listeners.
var namePattern = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)

func matching(pattern string) func(string) (any, bool) {
	compiled := regexp.MustCompile(pattern)
	return func(s string) (any, bool) { return s, compiled.MatchString(s) }
}

func parseTime(s string) (any, bool) {
	d, err := time.ParseDuration(s)
	return d, err == nil && d > 0 && d <= maxTime
}

// parseDays also accepts a number of days: 14d.
func parseDays(s string) (any, bool) {
	d, err := time.ParseDuration(s)
	if number, ok := strings.CutSuffix(s, "d"); ok {
		var n int
		n, err = strconv.Atoi(number)
		d = time.Duration(n) * 24 * time.Hour
		if n > maxDays {
			return nil, false
		}
	}
	return d, err == nil && d > 0 && d <= maxDays*24*time.Hour
}

func parseSize(s string) (any, bool) {
	units := []struct {
		suffix string
		bytes  int64
	}{{"KB", 1 << 10}, {"MB", 1 << 20}, {"GB", 1 << 30}}
	for _, u := range units {
		if number, ok := strings.CutSuffix(s, u.suffix); ok {
			n, err := strconv.ParseInt(number, 10, 32)
			return n * u.bytes, err == nil && n*u.bytes >= minSize
		}
	}
	return nil, false
}

// parseShare parses a share of a whole, below all of it.
func parseShare(s string) (any, bool) {
	number, percent := strings.CutSuffix(s, "%")
	share, err := strconv.ParseFloat(number, 64)
	if percent {
		share /= 100
	}
	return share, err == nil && share >= 0 && share < 1
}

// isAddress reports whether s is an IP address and port. Host names are not accepted: what they resolve to may change while
// pgo runs. Port 0 is accepted only if anyPort is true.
func isAddress(s string, anyPort bool) bool {
	ap, err := netip.ParseAddrPort(s)
	return err == nil && (ap.Port() != 0 || anyPort)
}

func isHTTPURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != ""
}
