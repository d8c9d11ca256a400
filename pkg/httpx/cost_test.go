package httpx_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
)

// refusedBodies returns bodies of about size bytes that are refused, each for another reason.
func refusedBodies(size int) map[string]string {
	var fields, names strings.Builder
	for i := 0; fields.Len() < size-100; i++ {
		fmt.Fprintf(&fields, `,"%x":1`, i)
	}
	for i := 0; names.Len() < size-100; i++ {
		fmt.Fprintf(&names, `"%x":{},`, i)
	}
	text := strings.Repeat("a", size-100)
	return map[string]string{
		"a bad time before many fields":        `{"due_at":"x"` + fields.String() + `}`,
		"an unknown field before many":         `{"zz":1` + fields.String() + `}`,
		"a wrong type after a long text":       `{"name":"` + text + `","age":"x"}`,
		"a bad time after a long text":         `{"name":"` + text + `","until":"x"}`,
		"a field twice, with a long text":      `{"name":"` + text + `","name":""}`,
		"many names in a field that is a text": `{"name":{` + names.String() + `"z":1}}`,
		"escapes":                              `{"name":"` + strings.Repeat(`\u0061`, size/6-20) + `","age":null}`,
		"a long list with a wrong end":         `{"tags":[` + strings.Repeat(`"",`, size/3-20) + `1]}`,
		"a long number":                        `{"age":1` + strings.Repeat("0", size-100) + `}`,
		"deep nesting":                         `{"tags":` + strings.Repeat("[", size/2-50) + strings.Repeat("]", size/2-50) + `}`,
	}
}

// The work of a refused body grows with its size and no faster. Memory that is allocated stands for work, since it is the
// same on every machine: eight times the size may take at most twelve times as much, and a bounded multiple of the body.
func TestRefusedBodyCostsLinearly(t *testing.T) {
	const small, large = 128 << 10, 1 << 20
	var got input
	e := reader(t, &got, nil)
	smallBodies, largeBodies := refusedBodies(small), refusedBodies(large)
	measure := func(t *testing.T, body string) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if w := e.do(http.MethodPost, "/read", body, "Content-Type", "application/json"); w.Code != 400 && w.Code != 422 {
			t.Fatalf("got %d: %s", w.Code, w.Body)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	for name := range largeBodies {
		t.Run(name, func(t *testing.T) {
			few, many := measure(t, smallBodies[name]), measure(t, largeBodies[name])
			t.Logf("%d KiB for %d KiB, %d KiB for %d KiB", few>>10, small>>10, many>>10, large>>10)
			if many > 12*few || many > 48*large {
				t.Errorf("%d bytes are allocated for a body of %d, %d for one of %d", many, large, few, small)
			}
		})
	}
}

func BenchmarkRefusedBody(b *testing.B) {
	var got input
	e := reader(b, &got, nil)
	for name, body := range refusedBodies(1 << 20) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				e.do(http.MethodPost, "/read", body, "Content-Type", "application/json")
			}
		})
	}
}
