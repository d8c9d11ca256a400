package ecosystem

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgo/deploy/pgo/internal/processfile"
)

// Options configure a conversion.
type Options struct {
	Dir     string // directory of the ecosystem file: its paths are relative to it
	Root    string // root of the process file
	Section string // env_NAME whose values are taken as well; none if empty
}

// Convert returns the text of a process file with these apps, and a note for each key that has no counterpart, with what to do.
func Convert(apps []App, hasDeploy bool, o Options) (text []byte, notes []string, err error) {
	var processes mapping
	for _, app := range apps {
		c := &converter{Options: o, app: app, done: map[string]bool{}}
		c.name = uniqueName(processes, processfile.MakeName(cmp.Or(c.text("name"), c.text("script"))))
		if name := c.text("name"); name != "" && name != c.name {
			c.note("name", "%q cannot be a name of pgo: it is %s now", name, c.name)
		}
		c.convert()
		processes = append(processes, entry{c.name, c.process})
		notes = append(notes, c.notes...)
	}
	if hasDeploy {
		notes = append(notes, "deploy: pgo deploy --to HOST sends programs, all or none: docs/deploy.md")
	}
	text, err = mapping{{"version", 1}, {"processes", processes}}.encode()
	return text, notes, err
}

func uniqueName(taken mapping, name string) string {
	for n, unique := 2, name; ; n++ {
		if !slices.ContainsFunc(taken, func(e entry) bool { return e.key == unique }) {
			return unique
		}
		unique = fmt.Sprintf("%.29s-%d", name, n)
	}
}

// converter converts one app.
type converter struct {
	Options
	app     App
	name    string
	process mapping
	done    map[string]bool // keys that were looked at
	notes   []string
}

// convert fills in the process.
func (c *converter) convert() {
	c.convertCommand()
	c.convertUser()
	c.convertInstances()
	c.convertSchedule()
	c.convertRestart()
	c.convertStop()
	c.convertMemory()
	c.convertLogs()
	c.convertEnv()
	c.addNotes()
}

// interpreters has PM2's interpreters by the extension of the script.
var interpreters = map[string]string{
	".js": "node", ".cjs": "node", ".mjs": "node", ".py": "python3", ".sh": "bash", ".rb": "ruby", ".php": "php", ".pl": "perl", ".ts": "bun", ".tsx": "bun",
}

// convertCommand sets what runs, with which arguments and where.
func (c *converter) convertCommand() {
	dir := c.Dir
	if cwd := c.text("cwd"); filepath.IsAbs(cwd) {
		dir = cwd
	} else if cwd != "" {
		dir = filepath.Join(dir, cwd)
	}
	script := c.text("script")
	interpreter := cmp.Or(c.text("interpreter", "exec_interpreter"), interpreters[filepath.Ext(script)], "none")
	args := c.words("args")
	if interpreter == "none" {
		c.set("command", c.commandPath(dir, script))
	} else {
		if !filepath.IsAbs(script) {
			script = "./" + strings.TrimPrefix(script, "./")
		}
		args = slices.Concat(c.words("interpreter_args", "node_args"), []string{script}, args)
		c.set("command", interpreter)
	}
	if len(args) > 0 {
		c.set("args", escapeAll(args))
	}
	if dir != c.Root {
		c.set("cwd", c.fromRoot(dir))
	}
}

// commandPath returns a script as a command of the process file: a path from the root, or a name to be looked up in PATH.
func (c *converter) commandPath(dir, script string) string {
	if filepath.IsAbs(script) {
		return script
	}
	path := filepath.Join(dir, script)
	if _, err := os.Stat(path); err != nil && !strings.Contains(script, "/") {
		return script
	}
	if rel := c.fromRoot(path); strings.Contains(rel, "/") {
		return rel
	}
	return "./" + filepath.Base(path)
}

// fromRoot returns a path relative to the root where it is below it.
func (c *converter) fromRoot(path string) string {
	if rel, err := filepath.Rel(c.Root, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

func (c *converter) convertUser() {
	if user := c.text("uid", "user"); user != "" {
		c.set("user", user)
		if group := c.text("gid"); group != "" {
			c.set("group", group)
		}
	}
}

func (c *converter) convertInstances() {
	text := c.text("instances")
	n, err := strconv.Atoi(text)
	switch {
	case text == "max", err == nil && text != "" && n <= 0:
		c.set("instances", "cpus")
	case n > 1:
		c.set("instances", min(n, 64))
	}
	if mode := c.text("exec_mode"); strings.HasPrefix(mode, "cluster") {
		c.note("exec_mode", "instances share a listener of pgo instead: give it listeners: {http: \"IP:port\"}; in Node server.listen({fd: 3}) takes it")
	}
}

func (c *converter) convertSchedule() {
	schedule := c.text("cron_restart", "cron")
	switch {
	case schedule == "":
		return
	case processfile.NextRun(schedule, time.Now()).IsZero():
		c.note("cron_restart", "%q is not a schedule that pgo knows: cron: \"0 3 * * *\"", schedule)
		return
	}
	c.set("cron", schedule)
	if c.text("autorestart") == "false" {
		c.process = slices.Insert(c.process, 0, entry{"kind", processfile.KindOneShot})
		c.note("cron_restart", "a job that ends is a one-shot: its schedule runs it, and pgo start %s, but not pgo up", c.name)
	}
}

func (c *converter) convertRestart() {
	var restart mapping
	var codes []int
	policy := ""
	for _, word := range c.words("stop_exit_codes") {
		if n, err := strconv.Atoi(word); err == nil && n != 0 {
			codes = append(codes, n)
		} else if err == nil {
			policy = processfile.PolicyOnFailure
		}
	}
	if c.text("autorestart") == "false" {
		policy = processfile.PolicyNever
	}
	if policy != "" {
		restart = append(restart, entry{"policy", policy})
	}
	if len(codes) > 0 {
		restart = append(restart, entry{"final_exit_codes", codes})
	}
	if n, err := strconv.Atoi(c.text("max_restarts")); err == nil && n > 0 {
		restart = append(restart, entry{"limit", min(n, 1000)})
	}
	if wait := c.milliseconds("restart_delay"); wait > 0 {
		restart = append(restart, entry{"first_wait", wait.String()}, entry{"longest_wait", wait.String()})
	} else if wait := c.milliseconds("exp_backoff_restart_delay"); wait > 0 {
		restart = append(restart, entry{"first_wait", wait.String()})
	}
	c.milliseconds("min_uptime") // pgo counts the restarts within a window
	if len(restart) > 0 {
		c.set("restart", restart)
	}
}

// convertStop keeps the signal that PM2 sends.
func (c *converter) convertStop() {
	stop := mapping{{"signal", "SIGINT"}}
	if timeout := c.milliseconds("kill_timeout"); timeout > 0 {
		stop = append(stop, entry{"timeout", timeout.String()})
	}
	c.set("stop", stop)
}

var sizePattern = regexp.MustCompile(`^(\d+)\s*([KMG]?)B?$`)

func (c *converter) convertMemory() {
	text := c.text("max_memory_restart")
	parts := sizePattern.FindStringSubmatch(strings.ToUpper(text))
	switch {
	case text == "":
	case parts == nil:
		c.note("max_memory_restart", "%q is not a size: limits: {memory: 300MB}", text)
	case parts[2] == "": // bytes
		n, _ := strconv.ParseInt(parts[1], 10, 64) // only digits; one too large is refused with the file
		c.set("limits", mapping{{"memory", fmt.Sprintf("%dKB", (n+1023)>>10)}})
	default:
		c.set("limits", mapping{{"memory", parts[1] + parts[2] + "B"}})
	}
}

func (c *converter) convertLogs() {
	out, errs := c.text("out_file", "output", "out"), c.text("error_file", "error", "err_file")
	if errs != "" && errs != out && errs != "/dev/null" && errs != "NULL" {
		c.set("logs", mapping{{"split", true}})
	}
	if file := cmp.Or(out, errs, c.text("log_file", "log")); file != "" {
		c.note("out_file, error_file", "the log is logs/%s.log in pgo's home, rotated: pgo logs %s", c.name, c.name)
	}
}

func (c *converter) convertEnv() {
	env := c.section("env")
	for _, key := range slices.Sorted(maps.Keys(c.app)) {
		section, isSection := strings.CutPrefix(key, "env_")
		if !isSection {
			continue
		}
		if section == c.Section {
			maps.Copy(env, c.section(key))
			continue
		}
		c.note(key, "pgo import --env %s takes its values, or put them into an env file: env_files: [%s.env]", section, section)
	}
	var entries mapping
	for _, key := range slices.Sorted(maps.Keys(env)) {
		entries = append(entries, entry{key, escape(env[key])})
	}
	if len(entries) > 0 {
		c.set("env", entries)
	}
}
