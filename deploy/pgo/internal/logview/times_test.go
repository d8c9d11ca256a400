package logview

import (
	"iter"
	"strings"
	"testing"
	"time"
)

func TestParseTimeRange(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	tests := []struct {
		name, since, until string
		from, to           time.Time
		failure            string
	}{
		{name: "nothing"},
		{name: "minutes ago", since: "10m", from: ago(10 * time.Minute)},
		{name: "days ago", since: "7d", until: "1d", from: ago(7 * 24 * time.Hour), to: ago(24 * time.Hour)},
		{name: "RFC 3339", until: "2026-01-31T13:00:00+01:00", to: now},
		{name: "a word", since: "yesterday", failure: "--since: expected a time such as 10m"},
		{name: "a number", until: "10", failure: "--until: expected a time"},
		{name: "the future", since: "-10m", failure: "--since: expected a time"},
		{name: "days and more", since: "1d2", failure: "--since: expected a time"},
		{name: "half days", since: "1.5d", failure: "--since: expected a time"},
		{name: "days with a sign", since: "+1d", failure: "--since: expected a time"},
		{name: "too many days", since: "70000d", failure: "--since: expected a time"},
		{name: "no zone", since: "2026-01-31T15:04:05", failure: "--since: expected a time"},
		{name: "reversed", since: "1m", until: "2m", failure: "--until is before --since"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := ParseTimeRange(test.since, test.until, now)
			if test.failure != "" {
				if err == nil || !strings.Contains(err.Error(), test.failure) {
					t.Errorf("got %v, want %s", err, test.failure)
				}
				return
			}
			if err != nil || !got.Since.Equal(test.from) || !got.Until.Equal(test.to) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestKeepLast(t *testing.T) {
	const lines = 5000
	var source iter.Seq2[time.Time, []byte] = func(yield func(time.Time, []byte) bool) {
		for n := range lines {
			if !yield(time.Unix(int64(n), 0), []byte{byte(n)}) {
				return
			}
		}
	}
	for _, count := range []int{0, 1, 3, lines, lines + 1} {
		want := int64(max(0, lines-count))
		first := want
		for at, line := range keepLast(source, count) {
			if at.Unix() != want || line[0] != byte(want) {
				t.Fatalf("the last %d: got %d (%d), want %d", count, at.Unix(), line[0], want)
			}
			want++
		}
		if want != lines {
			t.Errorf("the last %d: got the lines %d to %d", count, first, want)
		}
	}
}
