package ecosystem

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// advice has what to do for keys of PM2 without a counterpart.
var advice = []struct {
	keys []string
	text string
}{
	{[]string{"watch", "ignore_watch", "watch_delay", "watch_options"}, "pgo restarts nothing when sources change. With listeners and watch: true it deploys a new binary that is copied over command: docs/pgo-watch.md"},
	{[]string{"wait_ready", "listen_timeout"}, "the program reports READY=1 to NOTIFY_SOCKET with ready: {notify: true}, or has a probe: ready: {http: \"http://127.0.0.1:8080/\"}"},
	{[]string{"log_date_format", "time", "log_type"}, "programs write the time themselves; pgo logs shows JSON lines for people"},
	{[]string{"namespace"}, "commands take patterns, such as pgo restart \"web-*\""},
	{[]string{"increment_var", "instance_var"}, "PGO_INSTANCE is the number of the instance, from 0; a port for each is listeners: {http: {addr: \"127.0.0.1:0\", shared: false}}"},
	{[]string{"shutdown_with_message"}, "a program is asked to end by stop.signal"},
	{[]string{"filter_env"}, "a process has the environment of pgo: start pgo with env -i, or set the variables to \"\" in env"},
	{[]string{"post_update", "pre_exec", "post_exec"}, "a command that runs first is a process of kind one-shot, which the others name in after"},
	{[]string{"port"}, "listeners: {http: \"IP:port\"} opens a port that survives restarts; PORT is an ordinary variable of env"},
}

// needless are keys whose meaning pgo has anyway, or that mean something only to PM2.
var needless = []string{
	"treekill", "vizion", "pmx", "automation", "source_map_support", "disable_source_map_support", "force", "merge_logs", "combine_logs",
	"append_env_to_name", "trace", "disable_trace", "kill_retry_time", "autostart", "disable_logs", "min_uptime", "version",
}

// addNotes adds a note for every key that was not converted.
func (c *converter) addNotes() {
	for _, a := range advice {
		if i := slices.IndexFunc(a.keys, func(key string) bool { return isSet(c.app[key]) }); i >= 0 {
			c.note(a.keys[i], "%s", a.text)
		}
		for _, key := range a.keys {
			c.done[key] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.app)) {
		if !c.done[key] && !slices.Contains(needless, key) {
			c.note(key, "pgo has no counterpart: docs/from-pm2.md")
		}
	}
}

func isSet(value any) bool { return value != nil && value != false }

func (c *converter) note(key, format string, values ...any) {
	c.done[key] = true
	c.notes = append(c.notes, fmt.Sprintf("%s: %s: %s", c.name, key, fmt.Sprintf(format, values...)))
}

func (c *converter) set(key string, value any) { c.process = append(c.process, entry{key, value}) }

// text returns the first of these keys that the app has, as text; "" if it has none.
func (c *converter) text(keys ...string) string {
	found := ""
	for _, key := range keys {
		if value := c.app[key]; value != nil && found == "" {
			found = scalarText(value)
		}
		c.done[key] = true
	}
	return found
}

// wordPattern matches a word of a text of arguments, in quotes or not.
var wordPattern = regexp.MustCompile(`"[^"]*"|'[^']*'|[^\s"']+`)

// words returns the first of these keys as a list. A text is split at spaces, as PM2 does.
func (c *converter) words(keys ...string) []string {
	var words []string
	for _, key := range keys {
		c.done[key] = true
		switch value := c.app[key].(type) {
		case nil:
		case []any:
			for _, item := range value {
				words = append(words, scalarText(item))
			}
		default:
			for _, word := range wordPattern.FindAllString(scalarText(value), -1) {
				words = append(words, strings.Trim(word, `"'`))
			}
		}
	}
	return words
}

// milliseconds returns a time, which PM2 takes as milliseconds or as text such as 3s; 0 if there is none.
func (c *converter) milliseconds(key string) time.Duration {
	text := c.text(key)
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		return time.Duration(n * float64(time.Millisecond))
	}
	d, err := time.ParseDuration(text)
	if err != nil && text != "" {
		c.note(key, "%q is not a time such as 500ms or 3s", text)
	}
	return d
}

// section returns a section of the environment.
func (c *converter) section(key string) map[string]string {
	c.done[key] = true
	env := map[string]string{}
	values, _ := c.app[key].(map[string]any)
	for name, value := range values {
		env[name] = scalarText(value)
	}
	return env
}

// scalarText returns a value as the text that a process would see.
func scalarText(value any) string {
	switch value := value.(type) {
	case nil:
		return ""
	case string:
		return value
	case float64:
		return strconv.FormatFloat(value, 'f', -1, 64)
	case map[string]any, []any:
		text, _ := json.Marshal(value) // it was decoded from JSON or YAML
		return string(text)
	default:
		return fmt.Sprint(value)
	}
}

// escape keeps a value as it is in a process file, where $ begins a variable.
func escape(value string) string { return strings.ReplaceAll(value, "$", "$$") }

func escapeAll(values []string) []string {
	escaped := slices.Clone(values)
	for i, value := range escaped {
		escaped[i] = escape(value)
	}
	return escaped
}
