package systemd

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// unitFile builds the text of a unit file.
type unitFile struct{ lines []string }

func (f *unitFile) addSection(name string) {
	if len(f.lines) > 0 {
		f.lines = append(f.lines, "")
	}
	f.lines = append(f.lines, "["+name+"]")
}

// set adds a setting, unless its value is empty.
func (f *unitFile) set(key, value string) {
	if value != "" {
		f.lines = append(f.lines, key+"="+value)
	}
}

func (f *unitFile) replaceSetting(key, value string) {
	for i, line := range f.lines {
		if strings.HasPrefix(line, key+"=") {
			f.lines[i] = key + "=" + value
		}
	}
}

func (f *unitFile) addComment(text string) { f.lines = append(f.lines, "# "+text) }

func (f *unitFile) String() string { return strings.Join(f.lines, "\n") + "\n" }

func formatSeconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64)
}

// escapeSpecifiers keeps systemd from reading a % as one of its specifiers.
func escapeSpecifiers(s string) string { return strings.ReplaceAll(s, "%", "%%") }

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:=@,+-]+$`)

// quoteWord makes s one word of a setting.
func quoteWord(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`, "%", "%%").Replace(s) + `"`
}

// quoteArgument makes s one word of a command line, in which a $ would begin a variable.
func quoteArgument(s string) string { return strings.ReplaceAll(quoteWord(s), "$", "$$") }
