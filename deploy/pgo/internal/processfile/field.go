package processfile

import (
	"errors"
	"maps"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// field is one key of a mapping: how it is read, and its JSON Schema. Both come from the same table, so that an editor
// is told what is true.
type field struct {
	read func(at place) error
	form map[string]any
}

type fields map[string]field

// says describes the key to who edits the file.
func (f field) says(text string) field {
	f.form["description"] = text
	return f
}

func (fs fields) form(required ...string) map[string]any {
	properties := map[string]any{}
	for key, f := range fs {
		properties[key] = f.form
	}
	form := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		form["required"] = required
	}
	return form
}

// fields reads a mapping of which every key is known.
func (r reader) fields(at place, known fields) error {
	return r.entries(at, func(key string, at place) error {
		f, ok := known[key]
		if !ok {
			names := slices.Sorted(maps.Keys(known))
			return r.fail(at, "unknown key; known keys are %s", strings.Join(names, ", "))
		}
		return f.read(at)
	})
}

func (r reader) mapping(known fields) field {
	return field{func(at place) error { return r.fields(at, known) }, known.form()}
}

// each is a mapping with names that the file gives; all values have the form.
func (r reader) each(form map[string]any, read func(name string, at place) error) field {
	return field{
		func(at place) error { return r.entries(at, read) },
		map[string]any{"type": "object", "additionalProperties": form},
	}
}

// value is a scalar that may hold variables; parse takes what they have become. expected is for the error.
func (r reader) value(expected string, parse func(string) error) field {
	return field{func(at place) error {
		var s string
		if err := r.text(at, &s); err != nil {
			return err
		}
		if err := parse(s); err != nil {
			if expected == "" {
				return r.fail(at, "%v", err)
			}
			return r.fail(at, "expected %s, found %q", expected, s)
		}
		return nil
	}, map[string]any{"type": []string{"string", "number", "boolean"}}}
}

var errUnfit = errors.New("does not fit")

func (r reader) string(into *string) field {
	return r.value("", func(s string) error {
		if s == "" {
			return errors.New("is empty")
		}
		*into = s
		return nil
	})
}

func (r reader) strings(into *[]string) field {
	return field{
		func(at place) error { return r.texts(at, into) },
		map[string]any{"type": "array", "items": map[string]any{"type": []string{"string", "number", "boolean"}}},
	}
}

func (r reader) oneOf(into *string, allowed ...string) field {
	f := r.value("one of "+strings.Join(allowed, ", "), func(s string) error {
		if !slices.Contains(allowed, s) {
			return errUnfit
		}
		*into = s
		return nil
	})
	f.form = map[string]any{"enum": allowed}
	return f
}

func (r reader) flag(into *bool) field {
	return field{func(at place) error { return r.boolean(at, into) }, map[string]any{"type": "boolean"}}
}

func (r reader) number(low, high int, into *int) field {
	return field{
		func(at place) error { return r.integer(at, low, high, into) },
		map[string]any{"type": "integer", "minimum": low, "maximum": high},
	}
}

// optional is a number that stays nil where the file does not say it.
func (r reader) optional(low, high int, into **int) field {
	return field{
		func(at place) error { *into = new(int); return r.integer(at, low, high, *into) },
		map[string]any{"type": "integer", "minimum": low, "maximum": high},
	}
}

func (r reader) numbers(low, high int, into *[]int) field {
	return field{
		func(at place) error {
			return r.list(at, func(at place) error {
				var n int
				err := r.integer(at, low, high, &n)
				*into = append(*into, n)
				return err
			})
		},
		map[string]any{"type": "array", "items": map[string]any{"type": "integer", "minimum": low, "maximum": high}},
	}
}

// longest is the longest time a process file may say, except for what is kept on disk.
const longest = 24 * time.Hour

func (r reader) duration(into *time.Duration) field {
	return r.value("a time such as 500ms, 30s or 10m, at most 24h", func(s string) error {
		d, err := time.ParseDuration(s)
		if err != nil || d <= 0 || d > longest {
			return errUnfit
		}
		*into = d
		return nil
	})
}

// days also takes a number of days: 14d.
func (r reader) days(into *time.Duration) field {
	return r.value("a time such as 12h or 14d, at most 3650d", func(s string) error {
		d, err := time.ParseDuration(s)
		if number, ok := strings.CutSuffix(s, "d"); ok {
			var n int
			n, err = strconv.Atoi(number)
			d = time.Duration(n) * 24 * time.Hour
			if n > 3650 {
				return errUnfit
			}
		}
		if err != nil || d <= 0 || d > 3650*24*time.Hour {
			return errUnfit
		}
		*into = d
		return nil
	})
}

// smallest is the least size at which a log is rotated: smaller ones would be made faster than they are followed.
const smallest = 64 << 10

func (r reader) size(into *int64) field {
	return r.value("a size such as 512KB, 50MB or 1GB, at least 64KB", func(s string) error {
		units := []struct {
			suffix string
			bytes  int64
		}{{"KB", 1 << 10}, {"MB", 1 << 20}, {"GB", 1 << 30}}
		for _, u := range units {
			if number, ok := strings.CutSuffix(s, u.suffix); ok {
				n, err := strconv.ParseInt(number, 10, 32)
				if err != nil || n*u.bytes < smallest {
					return errUnfit
				}
				*into = n * u.bytes
				return nil
			}
		}
		return errUnfit
	})
}

// share is a part of a whole, below all of it.
func (r reader) share(into *float64) field {
	return r.value("a share such as 5% or 0.05, below 100%", func(s string) error {
		number, percent := strings.CutSuffix(s, "%")
		share, err := strconv.ParseFloat(number, 64)
		if percent {
			share /= 100
		}
		if err != nil || !(share >= 0 && share < 1) {
			return errUnfit
		}
		*into = share
		return nil
	})
}

func (r reader) matching(form *regexp.Regexp, expected string, into *string) field {
	return r.value(expected, func(s string) error {
		if !form.MatchString(s) {
			return errUnfit
		}
		*into = s
		return nil
	})
}

func (r reader) signal(into *string) field {
	return r.value("a signal such as SIGTERM", func(s string) error {
		if unix.SignalNum(s) == 0 {
			return errUnfit
		}
		*into = s
		return nil
	})
}

// address is an IP address and port. Names are not taken: what they resolve to may change while pgo runs.
func (r reader) address(free bool, into *string) field {
	return r.value("an IP address and port such as 127.0.0.1:8080", func(s string) error {
		ap, err := netip.ParseAddrPort(s)
		if err != nil || (ap.Port() == 0 && !free) {
			return errUnfit
		}
		*into = s
		return nil
	})
}

func (r reader) url(into *string) field {
	return r.value("a URL such as http://127.0.0.1:8080/readyz", func(s string) error {
		u, err := url.Parse(s)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
			return errUnfit
		}
		*into = s
		return nil
	})
}
