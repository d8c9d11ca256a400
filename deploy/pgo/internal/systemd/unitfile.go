package systemd

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// unitFile is a unit file that is being written.
type unitFile struct{ lines []string }

func (u *unitFile) section(name string) {
	if len(u.lines) > 0 {
		u.lines = append(u.lines, "")
	}
	u.lines = append(u.lines, "["+name+"]")
}

// set writes a setting; an empty one is left out.
func (u *unitFile) set(key, value string) {
	if value != "" {
		u.lines = append(u.lines, key+"="+value)
	}
}

func (u *unitFile) replace(key, value string) {
	for i, line := range u.lines {
		if strings.HasPrefix(line, key+"=") {
			u.lines[i] = key + "=" + value
		}
	}
}

func (u *unitFile) comment(text string) { u.lines = append(u.lines, "# "+text) }

func (u *unitFile) String() string { return strings.Join(u.lines, "\n") + "\n" }

func seconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64)
}

// percent keeps systemd from taking a % for one of its specifiers.
func percent(s string) string { return strings.ReplaceAll(s, "%", "%%") }

var plain = regexp.MustCompile(`^[A-Za-z0-9_./:=@,+-]+$`)

// quote makes s one word.
func quote(s string) string {
	if plain.MatchString(s) {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`, "%", "%%").Replace(s) + `"`
}

// word makes s one word of a command, in which a $ would begin a variable.
func word(s string) string { return strings.ReplaceAll(quote(s), "$", "$$") }
