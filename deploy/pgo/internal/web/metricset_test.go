package web

import (
	"bytes"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// TestTextIsRead checks that Prometheus's own parser reads the output, whatever a label contains.
func TestTextIsRead(t *testing.T) {
	odd := "a \"b\" \\n \n {c=\"d\"}, é \\"
	s := &metricSet{}
	for range 2 { // a set is used again, and nothing of the scrape before is left
		s.used = 0
		info := s.addGauge("some_info", "Help with \\ and\na second \"line\".", "name", "other")
		s.addGauge("empty_gauge", "Nothing has it.", "name")
		total := s.addCounter("some_total", "Counted.")
		took := s.addHistogram("some_seconds", "Observed.", "name")
		info.addSample(1, odd, "")
		info.addBool(false, "plain", "x")
		total.addSample(1234567.25)
		took.addHistogram([]float64{0.1, 2.5}, []int64{1, 0, 3}, 7.5, "web")
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	read, err := parser.TextToMetricFamilies(bytes.NewReader(s.encode()))
	if err != nil {
		t.Fatalf("%v in\n%s", err, s.encode())
	}
	if len(read) != 3 {
		t.Errorf("%d families in\n%s", len(read), s.encode())
	}
	info := read["some_info"]
	if info.GetType() != dto.MetricType_GAUGE || info.GetHelp() != "Help with \\ and\na second \"line\"." || len(info.GetMetric()) != 2 {
		t.Fatalf("%v", info)
	}
	first := info.GetMetric()[0]
	if first.GetLabel()[0].GetName() != "name" || first.GetLabel()[0].GetValue() != odd || first.GetLabel()[1].GetValue() != "" || first.GetGauge().GetValue() != 1 {
		t.Errorf("%v", first)
	}
	if n := read["some_total"].GetMetric()[0].GetCounter().GetValue(); n != 1234567.25 {
		t.Errorf("counter %v", n)
	}
	h := read["some_seconds"].GetMetric()[0].GetHistogram()
	var counts []uint64
	for _, b := range h.GetBucket() {
		counts = append(counts, b.GetCumulativeCount())
	}
	if h.GetSampleCount() != 4 || h.GetSampleSum() != 7.5 || len(counts) != 3 || counts[0] != 1 || counts[1] != 1 || counts[2] != 4 {
		t.Errorf("histogram %v", h)
	}
}

func BenchmarkScrape(b *testing.B) {
	f := Snapshot{Roles: []RoleUsage{{Name: "keeper"}, {Name: "manager"}}}
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		p := Process{Files: 12}
		p.Process.Name, p.Process.PID = name, 12
		f.Processes, f.Groups = append(f.Processes, p), append(f.Groups, Group{Name: name, Reloads: &ReloadCounters{}})
	}
	s := &metricSet{}
	b.ReportAllocs()
	for b.Loop() {
		s.fill(f)
		s.encode()
	}
}
