package web

import (
	"math"
	"strconv"
)

const textContentType = "text/plain; version=0.0.4; charset=utf-8"

// metricSet encodes the metrics of one scrape as Prometheus text. They are built for each scrape from the current state: a
// registry would only hold copies of it. The usual library would allocate an object for each number, and the manager would
// need a quarter more memory; a test verifies that the library's parser reads this output.
type metricSet struct {
	families []*family // those beyond used belong to the previous scrape and lend their memory
	used     int
	buf      []byte
}

// family holds all samples of one metric name. Every sample takes the values of its labels, in order.
type family struct {
	name, help, kind string
	labels           []string
	text             []byte
}

func (s *metricSet) addFamily(kind, name, help string, labels ...string) *family {
	if s.used == len(s.families) {
		s.families = append(s.families, &family{})
	}
	f := s.families[s.used]
	s.used++
	*f = family{name: name, help: help, kind: kind, labels: labels, text: f.text[:0]}
	return f
}

func (s *metricSet) addGauge(name, help string, labels ...string) *family {
	return s.addFamily("gauge", name, help, labels...)
}

func (s *metricSet) addCounter(name, help string, labels ...string) *family {
	return s.addFamily("counter", name, help, labels...)
}

func (s *metricSet) addHistogram(name, help string, labels ...string) *family {
	return s.addFamily("histogram", name, help, labels...)
}

func (f *family) addSample(value float64, labels ...string) { f.appendLine("", value, "", labels) }

func (f *family) addBool(value bool, labels ...string) {
	if value {
		f.addSample(1, labels...)
		return
	}
	f.addSample(0, labels...)
}

// addHistogram adds a histogram: the count of each bucket, the last of which has no bound, and the sum of all values.
func (f *family) addHistogram(bounds []float64, counts []int64, sum float64, labels ...string) {
	count := int64(0)
	for i, n := range counts {
		count += n
		bound := "+Inf"
		if i < len(bounds) {
			bound = strconv.FormatFloat(bounds[i], 'g', -1, 64)
		}
		f.appendLine("_bucket", float64(count), bound, labels)
	}
	f.appendLine("_sum", sum, "", labels)
	f.appendLine("_count", float64(count), "", labels)
}

// appendLine appends one line; with a bound it is a bucket's.
func (f *family) appendLine(suffix string, value float64, bound string, labels []string) {
	t := f.text
	t = append(t, f.name...)
	t = append(t, suffix...)
	separator := byte('{')
	for i, value := range labels {
		t = appendLabel(append(t, separator), f.labels[i], value)
		separator = ','
	}
	if bound != "" {
		t = appendLabel(append(t, separator), "le", bound)
		separator = ','
	}
	if separator == ',' {
		t = append(t, '}')
	}
	t = append(t, ' ')
	if value == math.Trunc(value) && math.Abs(value) < 1<<53 {
		t = strconv.AppendInt(t, int64(value), 10)
	} else {
		t = strconv.AppendFloat(t, value, 'g', -1, 64)
	}
	t = append(t, '\n')
	f.text = t
}

func appendLabel(t []byte, name, value string) []byte {
	t = append(append(t, name...), '=', '"')
	return append(appendEscaped(t, value, true), '"')
}

// appendEscaped appends a text, escaped for the format.
func appendEscaped(t []byte, text string, quoted bool) []byte {
	for i := range len(text) {
		switch c := text[i]; {
		case c == '\\':
			t = append(t, `\\`...)
		case c == '\n':
			t = append(t, `\n`...)
		case c == '"' && quoted:
			t = append(t, `\"`...)
		default:
			t = append(t, c)
		}
	}
	return t
}

// encode returns the families that have samples. The result is valid until the set is used again.
func (s *metricSet) encode() []byte {
	t := s.buf[:0]
	for _, f := range s.families[:s.used] {
		if len(f.text) == 0 {
			continue
		}
		t = append(append(append(t, "# HELP "...), f.name...), ' ')
		t = append(append(append(appendEscaped(t, f.help, false), "\n# TYPE "...), f.name...), ' ')
		t = append(append(append(t, f.kind...), '\n'), f.text...)
	}
	s.buf = t
	return t
}
