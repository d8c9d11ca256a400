package check

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"pgo/deploy/monitor/inventory"
)

// sources compares the exceptions with the containers that are to export their metrics: a metric that a part's flags do not enable
// never exists, and what asks for it never fires.
func sources(checkout fs.FS, exceptions []inventory.Exception) ([]string, error) {
	text, err := fs.ReadFile(checkout, composeFile)
	if err != nil {
		return nil, fmt.Errorf("read the monitoring's containers: %w", err)
	}
	var compose struct {
		Services map[string]struct {
			Command []string `yaml:"command"`
		} `yaml:"services"`
	}
	if err := yaml.Unmarshal(text, &compose); err != nil {
		return nil, fmt.Errorf("read %s: %w", composeFile, err)
	}
	var problems []string
	for _, e := range exceptions {
		if e.Container == "" {
			continue
		}
		part, ok := compose.Services[e.Container]
		if !ok {
			problems = append(problems, fmt.Sprintf("%s: %s has no part %s", exceptionsFile, composeFile, e.Container))
			continue
		}
		for metric, labels := range e.Metrics {
			group := e.Groups[metric]
			if group == "" && len(e.Groups) > 0 && !isAlwaysExported(metric) {
				problems = append(problems, fmt.Sprintf("%s: %s: which group of %s exports it?", exceptionsFile, metric, e.Program))
			}
			if group != "" && !slices.Contains(flagValues(part.Command, "--enable_metrics"), group) {
				problems = append(problems, fmt.Sprintf("%s: %s is exported only with --enable_metrics=%s, which %s of %s does not have", exceptionsFile, metric, group, e.Container, composeFile))
			}
			for _, label := range labels {
				if name, ok := strings.CutPrefix(label, "container_label_"); ok && len(e.Groups) > 0 && !slices.ContainsFunc(flagValues(part.Command, "--whitelisted_container_labels"), func(allowed string) bool {
					return strings.NewReplacer(".", "_", "-", "_").Replace(allowed) == name
				}) {
					problems = append(problems, fmt.Sprintf("%s: %s has the label %s only if --whitelisted_container_labels names it", exceptionsFile, metric, label))
				}
			}
		}
	}
	return problems, nil
}

// isAlwaysExported reports whether cAdvisor exports a metric of containers without a group: their descriptions.
func isAlwaysExported(metric string) bool {
	return strings.HasPrefix(metric, "container_spec_") || metric == "container_start_time_seconds" || metric == "container_last_seen"
}

// flagValues returns the values of a flag of a command, which commas separate.
func flagValues(command []string, flag string) []string {
	for _, arg := range command {
		if value, ok := strings.CutPrefix(arg, flag+"="); ok {
			return strings.Split(value, ",")
		}
	}
	return nil
}
