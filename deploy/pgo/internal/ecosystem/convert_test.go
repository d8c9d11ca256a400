package ecosystem

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pgo/deploy/pgo/internal/processfile"
)

const example = `
const path = require('path');
module.exports = {
  apps: [
    {
      name: 'API Server', script: './bin/api', interpreter: 'none', args: '-v --name "a b"', instances: 'max', exec_mode: 'cluster',
      env: { PORT: 8080, DEBUG: true, PRICE: '$5', DIR: path.basename('/srv/data') },
      env_production: { DEBUG: false }, env_staging: { DEBUG: true },
      max_memory_restart: '300M', kill_timeout: 3000, max_restarts: 10, min_uptime: '10s', restart_delay: 500,
      out_file: 'out.log', error_file: 'err.log', merge_logs: true, wait_ready: true, listen_timeout: 5000, watch: ['src'], namespace: 'web',
      stop_exit_codes: [0, 78], uid: 'nobody', gid: 'nogroup', treekill: true, strange: 1,
    },
    { name: 'worker', script: 'worker.js', node_args: '--max-old-space-size=200', cwd: 'jobs', cron_restart: '0 3 * * *' },
    { name: 'job', script: 'sh', args: ['-c', 'echo done'], autorestart: false, cron_restart: '*/5 * * * *' },
    { name: 'worker', script: '/opt/other', max_memory_restart: 104857600, exp_backoff_restart_delay: 100, cron_restart: 'at night', watch: false },
  ],
  deploy: { production: { host: 'example.org' } },
};
`

const exampleConverted = `version: 1
processes:
  api-server:
    command: bin/api
    args: [-v, --name, a b]
    user: nobody
    group: nogroup
    instances: cpus
    restart: {policy: on-failure, final_exit_codes: [78], limit: 10, first_wait: 500ms, longest_wait: 500ms}
    stop: {signal: SIGINT, timeout: 3s}
    limits: {memory: 300MB}
    logs: {split: true}
    env:
      DEBUG: "false"
      DIR: data
      PORT: "8080"
      PRICE: $$5
  worker:
    command: node
    args: [--max-old-space-size=200, ./worker.js]
    cwd: jobs
    cron: 0 3 * * *
    stop: {signal: SIGINT}
  job:
    kind: one-shot
    command: sh
    args: [-c, echo done]
    cron: '*/5 * * * *'
    restart: {policy: never}
    stop: {signal: SIGINT}
  worker-2:
    command: /opt/other
    restart: {first_wait: 100ms}
    stop: {signal: SIGINT}
    limits: {memory: 102400KB}
`

var exampleNotes = []string{
	`api-server: name: "API Server" cannot be a name of pgo: it is api-server now`,
	`api-server: exec_mode: instances share a listener`,
	`api-server: out_file, error_file: the log is logs/api-server.log in pgo's home`,
	`api-server: env_staging: pgo import --env staging takes its values`,
	`api-server: watch: pgo restarts nothing when sources change`,
	`api-server: wait_ready: the program reports READY=1`,
	`api-server: namespace: commands take patterns`,
	`api-server: strange: pgo has no counterpart`,
	`job: cron_restart: a job that ends is a one-shot`,
	`worker-2: name: "worker" cannot be`,
	`worker-2: cron_restart: "at night" is not a schedule`,
	`deploy: pgo deploy --to HOST`,
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// The file is evaluated as PM2 does it. What is written is a valid process file, and every key is converted or noted.
func TestConvert(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "ecosystem.config.js")
	writeFile(t, source, example)
	apps, hasDeploy, err := Read(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	text, notes, err := Convert(apps, hasDeploy, Options{Dir: dir, Root: dir, Section: "production"})
	if diff := cmp.Diff(exampleConverted, string(text)); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if len(notes) != len(exampleNotes) {
		t.Errorf("%d notes, want %d", len(notes), len(exampleNotes))
	}
	for i := range min(len(notes), len(exampleNotes)) {
		if !strings.HasPrefix(notes[i], exampleNotes[i]) {
			t.Errorf("got  %s\nwant %s", notes[i], exampleNotes[i])
		}
	}
	file, err := processfile.Parse(filepath.Join(dir, "configs", "pgo.yaml"), text, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	if api := file.Processes[0]; api.Command != filepath.Join(dir, "bin", "api") || api.Env["PRICE"] != "$5" || api.Limits.Memory != 300<<20 {
		t.Errorf("read back: %+v", api)
	}
}

func TestRead(t *testing.T) {
	tests := []struct {
		name, file, text string
		apps             int
		failure          string
	}{
		{"a list in JSON", "ecosystem.json", `[{"name":"a","script":"./a"},{"name":"b","script":"./b"}]`, 2, ""},
		{"one app in JSON", "process.json", `{"name":"a","script":"./a"}`, 1, ""},
		{"YAML", "ecosystem.yml", "apps:\n  - script: ./a\n    instances: 2\n", 1, ""},
		{"a default export", "ecosystem.config.cjs", "exports.default = {apps: [{script: './a'}]}", 1, ""},
		{"an error", "ecosystem.config.js", "module.exports = {apps: [missing]}", 0, "ReferenceError: missing is not defined"},
		{"no apps", "ecosystem.config.js", "module.exports = {}", 0, "it has no apps"},
		{"an app without a script", "ecosystem.json", `[{"name":"a"}]`, 0, "app 1 has no script"},
		{"not JSON", "ecosystem.json", `{`, 0, "unexpected end of JSON input"},
		{"another kind of file", "ecosystem.toml", "", 0, "expected a file that ends with .js"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), test.file)
			writeFile(t, path, test.text)
			apps, _, err := Read(t.Context(), path)
			if len(apps) != test.apps || (err == nil) != (test.failure == "") || err != nil && !strings.Contains(err.Error(), test.failure) {
				t.Errorf("got %v, %v", apps, err)
			}
		})
	}
	t.Setenv("PATH", t.TempDir())
	path := filepath.Join(t.TempDir(), "ecosystem.config.js")
	writeFile(t, path, example)
	if _, _, err := Read(t.Context(), path); err == nil || !strings.Contains(err.Error(), "there is no node in PATH") {
		t.Errorf("without Node: %v", err)
	}
}
