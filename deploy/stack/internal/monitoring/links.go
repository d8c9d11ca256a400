package monitoring

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"pgo/deploy/stack/internal/checkout"
)

// zones is the directory of a machine's time zones.
const zones = "/usr/share/zoneinfo"

// alertLinks returns the settings of the links in alerts: RUNBOOKS_URL, by default the runbooks' pages at the host of the
// checkout's repository, and GRAFANA_URL, by default grafana.
func alertLinks(co checkout.Checkout, grafana string) map[string]string {
	runbooks := "file://" + filepath.Join(co.Root, "docs", "runbooks")
	if out, err := exec.Command("git", "-C", co.Root, "config", "--get", "remote.origin.url").Output(); err == nil {
		if page := repositoryPage(strings.TrimSpace(string(out))); page != "" {
			runbooks = page + "/blob/HEAD/docs/runbooks"
		}
	}
	return map[string]string{
		"RUNBOOKS_URL": strings.TrimSuffix(readSetting("RUNBOOKS_URL", runbooks), "/"),
		"GRAFANA_URL":  strings.TrimSuffix(readSetting("GRAFANA_URL", grafana), "/"),
	}
}

// linkRules returns a rule file with the series alert:links, whose label is where the runbooks are. Grafana's boards have no other
// way to know: their files are the same on every machine.
func linkRules(runbooks string) string {
	return fmt.Sprintf("groups:\n  - {name: alert-links, interval: 1m, rules: [{record: \"alert:links\", expr: vector(1), labels: {runbooks: %q}}]}\n", runbooks)
}

// repositoryPage returns the web page of a Git remote, without credentials, or "" if the remote is not at a host.
func repositoryPage(remote string) string {
	remote = strings.TrimSuffix(strings.TrimSuffix(remote, "/"), ".git")
	if m := regexp.MustCompile(`^[a-zA-Z0-9_.-]+@([a-zA-Z0-9.-]+):([^/].*)$`).FindStringSubmatch(remote); m != nil {
		return "https://" + m[1] + "/" + m[2] // git@host:team/project
	}
	u, err := url.Parse(remote)
	if err != nil || u.Hostname() == "" || strings.Trim(u.Path, "/") == "" {
		return ""
	}
	switch u.Scheme {
	case "ssh", "git":
		return "https://" + u.Hostname() + u.Path
	case "https", "http":
		return u.Scheme + "://" + u.Host + u.Path
	}
	return ""
}

// AlertZone returns the name of the time zone of the times in alerts: asked, or this machine's if that is "".
func AlertZone(asked string) (string, error) {
	if asked != "" {
		if _, err := time.LoadLocation(asked); err != nil || filepath.IsAbs(asked) {
			return "", fmt.Errorf("ALERTS_TZ=%q is not a time zone of this machine, such as Asia/Shanghai", asked)
		}
		return asked, nil
	}
	if file, err := filepath.EvalSymlinks("/etc/localtime"); err == nil {
		if name, ok := strings.CutPrefix(file, zones+"/"); ok {
			return name, nil
		}
	}
	return "UTC", nil
}

// writeZone copies a time zone to the directory zoneinfo of dir, for a container whose image has none.
func writeZone(dir, zone string) error {
	text, err := os.ReadFile(filepath.Join(zones, zone))
	if os.IsNotExist(err) {
		return nil // the container then uses UTC, as this machine does
	}
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "zoneinfo", zone)
	return writePublic(filepath.Dir(file), filepath.Base(file), string(text))
}

// zoneEnv returns the variable that sets the time zone of a process, if one is asked for.
func zoneEnv() []string {
	if zone := os.Getenv("ALERTS_TZ"); zone != "" {
		return []string{"TZ=" + zone}
	}
	return nil
}
