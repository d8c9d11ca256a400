package stoporder

import (
	"maps"
	"slices"
	"sync"
	"testing"

	"pgo/deploy/pgo/internal/processfile"
)

func TestInReverse(t *testing.T) {
	var mu sync.Mutex
	var order []string
	meet := make(chan struct{}) // b and c depend on each other's stop: only side by side they can end
	StopInReverse(map[string][]string{"a": nil, "b": {"a"}, "c": {"a"}, "d": {"b", "c", "elsewhere"}}, func(name string) {
		switch name {
		case "b":
			meet <- struct{}{}
		case "c":
			<-meet
		}
		mu.Lock()
		defer mu.Unlock()
		order = append(order, name)
	})
	if len(order) != 4 || order[0] != "d" || order[3] != "a" || !slices.Contains(order, "b") {
		t.Errorf("stopped in the order %v", order)
	}
}

func TestDependents(t *testing.T) {
	after := func(names ...string) []string { return names }
	tests := []struct {
		name  string
		ranks map[string]Rank
		want  map[string][]string
	}{
		{"a stack", map[string]Rank{
			"mysql":    {processfile.KindInfra, nil},
			"epmd":     {processfile.KindInfra, nil},
			"rabbitmq": {processfile.KindInfra, after("epmd")},
			"gate":     {processfile.KindGate, nil},
			"user":     {processfile.KindService, after("gate")},
			"gateway":  {processfile.KindInfra, after("user")},
			"cache":    {processfile.KindInfra, after("gateway")},
		}, map[string][]string{
			"mysql": nil, "epmd": nil, "rabbitmq": {"epmd"}, "gate": {"epmd", "mysql", "rabbitmq"},
			"user": {"epmd", "gate", "mysql", "rabbitmq"}, "gateway": {"user"}, "cache": {"gateway"},
		}},
		{"a part of one", map[string]Rank{
			"mysql": {processfile.KindInfra, nil}, "user": {processfile.KindService, after("gate")}, "gateway": {processfile.KindInfra, after("gate")},
		}, map[string][]string{"mysql": nil, "user": {"gate", "gateway", "mysql"}, "gateway": {"gate"}}},
		{"unknown kinds", map[string]Rank{"mysql": {}, "user": {"", after("mysql")}}, map[string][]string{"mysql": nil, "user": {"mysql"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := FindDependents(test.ranks)
			for name := range got {
				slices.Sort(got[name])
			}
			if !maps.EqualFunc(got, test.want, slices.Equal) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
