package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// KeyState describes one key of a running program's configuration.
type KeyState struct {
	Value      any    `json:"value"` // in force; secrets are masked
	State      string `json:"state"` // in_force or waits_for_restart
	Configured any    `json:"configured,omitempty"`
}

const (
	stateInForce         = "in_force"
	stateWaitsForRestart = "waits_for_restart"
)

// DescribeKeys returns each key of cfg as in force. The keys are dotted.
func DescribeKeys[T any](cfg T) map[string]KeyState {
	return describeKeys(flatten(cfg), flatten(cfg), nil)
}

// describeKeys compares what a program was started with and what is configured now. live holds the keys, or the starts of
// keys, that take effect at once.
func describeKeys(started, configured map[string]any, live []string) map[string]KeyState {
	out := map[string]KeyState{}
	for key, value := range configured {
		before, isOld := started[key]
		if isOld && reflect.DeepEqual(before, value) || isLive(key, live) {
			out[key] = KeyState{Value: show(value), State: stateInForce}
			continue
		}
		out[key] = KeyState{Value: show(before), State: stateWaitsForRestart, Configured: show(value)}
	}
	for key, value := range started {
		if _, isConfigured := configured[key]; !isConfigured && !isLive(key, live) {
			out[key] = KeyState{Value: show(value), State: stateWaitsForRestart}
		}
	}
	return out
}

func isLive(key string, live []string) bool {
	return slices.ContainsFunc(live, func(l string) bool { return key == l || strings.HasPrefix(key, l+".") })
}

// changedKeys returns the keys whose values differ, sorted.
func changedKeys(before, after map[string]any) []string {
	changed := map[string]bool{}
	for key, value := range before {
		if other, ok := after[key]; !ok || !reflect.DeepEqual(value, other) {
			changed[key] = true
		}
	}
	for key := range after {
		if _, ok := before[key]; !ok {
			changed[key] = true
		}
	}
	return slices.Sorted(maps.Keys(changed))
}

// show returns a value as a person writes it.
func show(value any) any {
	if d, ok := value.(time.Duration); ok {
		return d.String()
	}
	return value
}

// flatten returns the values of a configuration by their dotted keys.
func flatten(cfg any) map[string]any {
	out := map[string]any{}
	flattenInto(out, "", reflect.ValueOf(cfg))
	return out
}

func flattenInto(out map[string]any, key string, v reflect.Value) {
	below := func(name string) string {
		if key == "" {
			return name
		}
		return key + "." + name
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			switch name := v.Type().Field(i).Tag.Get(tag); name {
			case "":
			case squashTag:
				flattenInto(out, key, v.Field(i))
			default:
				flattenInto(out, below(name), v.Field(i))
			}
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			flattenInto(out, below(k.String()), v.MapIndex(k))
		}
	default:
		if key != "" {
			out[key] = v.Interface()
		}
	}
}
