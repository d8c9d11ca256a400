package manager

import (
	"slices"
	"sync"
	"testing"
)

func TestInReverse(t *testing.T) {
	var mu sync.Mutex
	var order []string
	meet := make(chan struct{}) // b and c depend on each other's stop: only side by side they can end
	inReverse(map[string][]string{"a": nil, "b": {"a"}, "c": {"a"}, "d": {"b", "c", "elsewhere"}}, func(name string) {
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
