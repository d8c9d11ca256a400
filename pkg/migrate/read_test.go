package migrate

import (
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"
)

// longFiles returns the text of migrations with about size bytes of one kind.
func longFiles(size int) map[string]string {
	fill := func(text string) string { return strings.Repeat(text, size/len(text)) }
	return map[string]string{
		"a string":           "INSERT INTO a VALUES ('" + fill("x") + "');\n",
		"doubled quotes":     "INSERT INTO a VALUES ('" + fill("''") + "');\n",
		"backslashes":        "INSERT INTO a VALUES ('" + fill(`\'`) + "');\n",
		"a string of lines":  "INSERT INTO a VALUES ('" + fill("x\n") + "');\n",
		"a hexadecimal word": "INSERT INTO a VALUES (0x" + fill("ff") + ");\n",
		"a comment":          "/* " + fill("x ") + " */ SELECT 1;\n",
		"lines of comments":  fill("-- x\n") + "SELECT 1;\n",
		"rows":               "INSERT INTO a VALUES (0)" + fill(",\n(1)") + ";\n",
		"columns":            "ALTER TABLE a ADD b INT" + fill(", ADD b INT") + ";\n",
		"variables":          "SET @a = 1" + fill(", @b = @a") + ";\n",
		"statements":         fill("INSERT INTO a VALUES (1);\n"),
		"a block":            "-- +goose StatementBegin\n" + fill("INSERT INTO a VALUES (1);\n") + "-- +goose StatementEnd\n",
		"a procedure":        "-- +goose StatementBegin\nCREATE PROCEDURE p() BEGIN\n" + fill("INSERT INTO a VALUES (1);\n") + "END\n-- +goose StatementEnd\n",
	}
}

// usedProcessor returns the processor time that this program has used. Unlike time on a clock, it does not grow while other programs
// run.
func usedProcessor(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// measureRead returns the processor time that it takes to read the text as a migration, the mean of enough times to be exact.
func measureRead(t *testing.T, text string) time.Duration {
	t.Helper()
	const enough = 40 * time.Millisecond
	files := fstest.MapFS{"00001_a.sql": file("-- +goose Up\n" + text)}
	runtime.GC()
	start := usedProcessor(t)
	for n := 1; ; n++ {
		if _, err := Read(files); err != nil {
			t.Fatal(err)
		}
		if used := usedProcessor(t) - start; used >= enough {
			return used / time.Duration(n)
		}
	}
}

// TestReadIsLinear checks that a file of four times the size takes less than eight times as long; quadratic would be 16 times.
func TestReadIsLinear(t *testing.T) {
	const size, factor, maxRatio, tries = 32 << 10, 4, 8, 5
	large := longFiles(size * factor)
	for name, text := range longFiles(size) {
		t.Run(name, func(t *testing.T) {
			var short, long time.Duration
			for range tries {
				short, long = measureRead(t, text), measureRead(t, large[name])
				if long < maxRatio*short {
					return
				}
			}
			t.Errorf("%d KiB take %s, %d KiB take %s", size>>10, short, size*factor>>10, long)
		})
	}
}

func BenchmarkRead(b *testing.B) {
	files := longFiles(maxFile - 1024)
	for _, name := range []string{"a string", "doubled quotes", "rows", "statements", "a procedure"} {
		b.Run(fmt.Sprintf("4 MiB of %s", name), func(b *testing.B) {
			fsys := fstest.MapFS{"00001_a.sql": file("-- +goose Up\n" + files[name])}
			b.SetBytes(maxFile)
			for b.Loop() {
				if _, err := Read(fsys); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
