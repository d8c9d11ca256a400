// Package ecosystem converts PM2's ecosystem files to process files.
package ecosystem

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// evaluateTimeout limits how long Node may take to evaluate a file.
const evaluateTimeout = 30 * time.Second

// evaluateScript prints what a file exports as JSON. Functions are left out.
const evaluateScript = `const c = require(process.argv[1]); process.stdout.write(JSON.stringify(c && c.default || c))`

// App holds the keys of one app.
type App map[string]any

// Read reads the apps of an ecosystem file: JSON or YAML, or a JavaScript module, which Node evaluates. hasDeploy reports whether
// the file has a section deploy.
func Read(ctx context.Context, path string) (apps []App, hasDeploy bool, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, false, fmt.Errorf("import: %w", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, false, fmt.Errorf("import: %w", err)
	}
	var content any
	switch filepath.Ext(path) {
	case ".js", ".cjs", ".mjs":
		if text, err = evaluate(ctx, path); err != nil {
			return nil, false, err
		}
		err = json.Unmarshal(text, &content)
	case ".json":
		err = json.Unmarshal(text, &content)
	case ".yaml", ".yml":
		err = yaml.Unmarshal(text, &content)
	default:
		return nil, false, fmt.Errorf("import %s: expected a file that ends with .js, .cjs, .json, .yaml or .yml", path)
	}
	if err != nil {
		return nil, false, fmt.Errorf("import %s: %w", path, err)
	}
	return findApps(path, content)
}

// findApps returns the apps of a file, which PM2 takes as the key apps, as a list, or as one app.
func findApps(path string, content any) (apps []App, hasDeploy bool, err error) {
	if file, ok := content.(map[string]any); ok {
		_, hasDeploy = file["deploy"]
		switch list := file["apps"]; {
		case list != nil:
			content = list
		case file["script"] != nil:
			content = []any{file}
		}
	}
	if one, ok := content.(map[string]any); ok && one["script"] != nil {
		content = []any{one}
	}
	list, ok := content.([]any)
	if !ok || len(list) == 0 {
		return nil, false, fmt.Errorf("import %s: it has no apps", path)
	}
	for n, item := range list {
		app, ok := item.(map[string]any)
		if !ok || app["script"] == nil {
			return nil, false, fmt.Errorf("import %s: app %d has no script", path, n+1)
		}
		apps = append(apps, App(app))
	}
	return apps, hasDeploy, nil
}

// evaluate has Node evaluate a module and returns what it exports as JSON.
func evaluate(ctx context.Context, path string) ([]byte, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, fmt.Errorf("import %s: it takes Node to evaluate JavaScript, and there is no node in PATH: install it, or convert the file "+
			"where there is one: node -p 'JSON.stringify(require(\"%s\"))' >ecosystem.json", path, path)
	}
	ctx, cancel := context.WithTimeout(ctx, evaluateTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, "-e", evaluateScript, path)
	cmd.Dir, cmd.WaitDelay = filepath.Dir(path), time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("import %s: node: %w", path, errors.Join(err, lastError(stderr.String())))
	}
	if text := bytes.TrimSpace(stdout.Bytes()); len(text) > 0 && string(text) != "undefined" {
		return text, nil
	}
	return nil, fmt.Errorf("import %s: it exports nothing", path)
}

// lastError returns the line of Node's output that has the error, or nil.
func lastError(output string) error {
	for line := range strings.Lines(output) {
		if line = strings.TrimSpace(line); strings.Contains(line, "Error") {
			return errors.New(line)
		}
	}
	return nil
}
