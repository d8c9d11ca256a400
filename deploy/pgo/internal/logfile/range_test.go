package logfile

import (
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	local := func(year int, month time.Month, day, hour, minute, second, nano int) time.Time {
		return time.Date(year, month, day, hour, minute, second, nano, time.Local)
	}
	utc := func(hour int) time.Time { return time.Date(2026, 11, 21, hour, 18, 48, 51495000, time.UTC) }
	tests := []struct {
		name, line string
		want       time.Time // zero: it does not say
	}{
		{"zap", `{"level":"info","ts":"2026-11-21T11:18:48.051495Z","msg":"connected"}`, utc(11)},
		{"slog", `{"time":"2026-11-21T12:18:48.051495+01:00","level":"INFO"}`, utc(11)},
		{"a zone without a colon", `{"ts":"2026-11-21T12:18:48.051495+0100"}`, utc(11)},
		{"nginx as JSON", `{"ts":"2026-11-21T11:19:15+00:00","level":"info"}`, time.Date(2026, 11, 21, 11, 19, 15, 0, time.UTC)},
		{"seconds", `{"level":"info","ts":1795259928.051495,"msg":"x"}`, time.UnixMicro(1795259928051495)},
		{"seconds at the end", `{"ts":1795259928}`, time.Unix(1795259928, 0)},
		{"MySQL", `2026-11-21T11:18:48.051495Z 0 [System] [MY-010116] starting`, utc(11)},
		{"MariaDB", `2026-11-21 11:18:46 0 [Note] Starting MariaDB`, local(2026, 11, 21, 11, 18, 46, 0)},
		{"MariaDB at night", `2026-11-21  1:18:46 0 [Note] Starting MariaDB`, local(2026, 11, 21, 1, 18, 46, 0)},
		{"RabbitMQ", `2026-11-21 11:18:48.051495+00:00 [info] <0.223.0> Feature flags:`, utc(11)},
		{"nginx", `2026/11/21 11:18:46 [notice] 7#7: start`, local(2026, 11, 21, 11, 18, 46, 0)},
		{"Redis", `27869:M 21 Nov 2026 11:18:44.795 * monotonic clock`, local(2026, 11, 21, 11, 18, 44, 795e6)},
		{"epmd", `epmd: Sat Nov 21 11:18:44 2026: got partial packet`, local(2026, 11, 21, 11, 18, 44, 0)},
		{"epmd early in a month", `epmd: Sun Nov  1 11:18:44 2026: got partial packet`, local(2026, 11, 1, 11, 18, 44, 0)},
		{"a word", `hello`, time.Time{}},
		{"nothing", ``, time.Time{}},
		{"a stack", "\tmain.go:12 +0x1d", time.Time{}},
		{"a time in the text", `{"msg":"until 2026-11-21T11:18:48Z"}`, time.Time{}},
		{"no such day", `2026-13-41T11:18:48Z x`, time.Time{}},
		{"half a time", `{"ts":"2026-11-21T11:1`, time.Time{}},
		{"a time far behind", `{"msg":"` + strings.Repeat("x", maxHead) + `","ts":"2026-11-21T11:18:48Z"}`, time.Time{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, ok := ParseTime([]byte(test.line))
			if !got.Equal(test.want) || ok == test.want.IsZero() {
				t.Errorf("got %v %v, want %v", got, ok, test.want)
			}
		})
	}
}

func FuzzParseTime(f *testing.F) {
	for _, seed := range []string{`{"ts":"2026-11-21T11:18:48Z"}`, "2026-11-21  1:18:46 x", `{"ts":99999999999}`, "epmd: Sun Nov  1 11:18:44 2026:"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if at, ok := ParseTime(line); !ok && !at.IsZero() {
			t.Errorf("%v of a line that says none", at)
		}
	})
}

// writeHourlyLog writes ten hours of a log, two lines each: rotated at 3 (compressed), 6 and 8, the rest in the current file.
func writeHourlyLog(t *testing.T) (path string, day time.Time) {
	t.Helper()
	dir := t.TempDir()
	path, day = filepath.Join(dir, "p.log"), time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	text := func(from, to int) (all string) {
		for h := from; h < to; h++ {
			all += fmt.Sprintf("{\"ts\":%q,\"hour\":%d}\n  more of %d\n", day.Add(time.Duration(h)*time.Hour).Format(time.RFC3339), h, h)
		}
		return all
	}
	if err := os.Mkdir(filepath.Join(dir, rotatedDir), 0o700); err != nil {
		t.Fatal(err)
	}
	old := func(hour int) string {
		return filepath.Join(dir, rotatedDir, "p."+day.Add(time.Duration(hour)*time.Hour-time.Minute).Format(rotatedTimeFormat)+".log")
	}
	for file, content := range map[string]string{old(3): text(0, 3), old(6): text(3, 6), old(8): text(6, 8), path: text(8, 10)} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := compressFile(old(3)); err != nil {
		t.Fatal(err)
	}
	return path, day
}

func TestReadRange(t *testing.T) {
	path, day := writeHourlyLog(t)
	at := func(hour int) time.Time { return day.Add(time.Duration(hour) * time.Hour) }
	tests := []struct {
		name     string
		span     Range
		from, to int
	}{
		{"everything", Range{}, 0, 10},
		{"of the packed file", Range{Since: at(1), Until: at(2)}, 1, 3},
		{"over two files", Range{Since: at(2), Until: at(3)}, 2, 4},
		{"since the middle", Range{Since: at(5)}, 5, 10},
		{"of the current file", Range{Since: at(9)}, 9, 10},
		{"until the first", Range{Until: at(0)}, 0, 1},
		{"before all", Range{Until: at(-1)}, 0, 0},
		{"after all", Range{Since: at(11)}, 0, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got, want []string
			read, err := ReadRange(t.Context(), path, test.span, func(at time.Time, line []byte) error {
				got = append(got, fmt.Sprintf("%d %s", at.UTC().Hour(), line))
				return nil
			})
			for h := test.from; h < test.to; h++ {
				want = append(want, fmt.Sprintf("%d {\"ts\":%q,\"hour\":%d}\n", h, at(h).Format(time.RFC3339), h), fmt.Sprintf("%d   more of %d\n", h, h))
			}
			if info, statErr := os.Stat(path); err != nil || statErr != nil || read != info.Size() {
				t.Errorf("read %d: %v, %v", read, err, statErr)
			}
			if !slices.Equal(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

// TestReadRangeWithoutTimes checks that lines without a time have that of their file's end.
func TestReadRangeWithoutTimes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.log")
	if err := os.WriteFile(path, []byte("one\ntwo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for since, want := range map[time.Duration]int{-time.Hour: 2, time.Hour: 0} {
		n := 0
		if _, err := ReadRange(t.Context(), path, Range{Since: time.Now().Add(since)}, func(time.Time, []byte) error { n++; return nil }); err != nil || n != want {
			t.Errorf("since %s: %d lines, %v", since, n, err)
		}
	}
	if read, err := ReadRange(t.Context(), filepath.Join(t.TempDir(), "none.log"), Range{}, nil); read != 0 || err != nil {
		t.Errorf("of no log: %d, %v", read, err)
	}
}

func TestReadRangeDamagedFile(t *testing.T) {
	path, _ := writeHourlyLog(t)
	packed := ListRotated(path)[0].Path
	if err := os.Truncate(packed, 20); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadRange(t.Context(), path, Range{}, func(time.Time, []byte) error { return nil }); err == nil || !strings.Contains(err.Error(), packed) {
		t.Errorf("half a gzip: %v", err)
	}
	if err := os.WriteFile(packed, []byte("this is no gzip"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadTail(t.Context(), path, 100); err == nil || !strings.Contains(err.Error(), gzip.ErrHeader.Error()) {
		t.Errorf("no gzip: %v", err)
	}
}

func TestReadTail(t *testing.T) {
	path, _ := writeHourlyLog(t)
	for n, first := range map[int]string{0: "", 1: "  more of 9", 4: `{"ts":"2026-11-21T08:00:00Z","hour":8}`, 5: "  more of 7", 19: "  more of 0", 20: `{"ts":"2026-11-21T00:00:00Z","hour":0}`, 1000: `{"ts":"2026-11-21T00:00:00Z","hour":0}`} {
		lines, _, err := ReadTail(t.Context(), path, n)
		if got, _, _ := strings.Cut(string(lines), "\n"); err != nil || got != first || countLines(lines) != min(n, 20) {
			t.Errorf("%d: %d lines that begin with %q, %v", n, countLines(lines), got, err)
		}
	}
}
