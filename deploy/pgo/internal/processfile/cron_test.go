package processfile

import (
	"testing"
	"time"
)

func TestNextRun(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 30, 15, 0, time.UTC) // a Sunday
	tests := []struct{ name, schedule, want string }{
		{"a time of the day", "0 3 * * *", "2026-03-02T03:00:00Z"},
		{"every quarter of an hour", "*/15 * * * *", "2026-03-01T12:45:00Z"},
		{"with seconds", "30 * * * * *", "2026-03-01T12:30:30Z"},
		{"working days", "0 8 * * mon-fri", "2026-03-02T08:00:00Z"},
		{"a name", "@daily", "2026-03-02T00:00:00Z"},
		{"an interval", "@every 90s", "2026-03-01T12:31:45Z"},
		{"a time zone", "CRON_TZ=Asia/Shanghai 0 3 * * *", "2026-03-01T19:00:00Z"},
		{"a day that is not in every year", "0 0 29 2 *", "2028-02-29T00:00:00Z"},
		{"a day that never comes", "0 0 30 2 *", ""},
		{"a field too few", "0 3 * *", ""},
		{"an hour too many", "0 24 * * *", ""},
		{"a word", "daily", ""},
		{"a time zone alone", "TZ=UTC", ""},
		{"an unknown time zone", "CRON_TZ=Mars/Olympus 0 3 * * *", ""},
		{"nothing", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			if next := NextRun(test.schedule, now); !next.IsZero() {
				got = next.UTC().Format(time.RFC3339)
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
