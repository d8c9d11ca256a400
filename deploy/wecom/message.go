package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Language is the language of messages.
type Language string

// The languages there are.
const (
	Chinese Language = "zh"
	English Language = "en"
)

// maxBytes is the limit of one Markdown message to a robot, in bytes of UTF-8.
const maxBytes = 4096

// timeFormat is in the zone of TZ, or of this machine.
const timeFormat = "01-02 15:04 MST"

// Notification holds the parts of Alertmanager's request that messages need.
type Notification struct {
	Status       string            `json:"status"` // firing or resolved
	CommonLabels map[string]string `json:"commonLabels"`
	Truncated    int               `json:"truncatedAlerts"` // left out by Alertmanager's max_alerts
	Alerts       []Alert           `json:"alerts"`
}

// Alert is one of a Notification's alerts.
type Alert struct {
	Status      string            `json:"status"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
}

// phrases are a language's.
type phrases struct{ firing, resolved, since, until, runbook, board, more, cut, silent, alive string }

func (l Language) phrases() phrases {
	if l == English {
		return phrases{"firing", "resolved", "since", "until", "runbook", "board", "and %d more", "… (cut: the whole text is in Alertmanager)",
			"No watchdog for %v: Prometheus or Alertmanager is down, no other alert is delivered", "The watchdog is back: alerts are delivered again"}
	}
	return phrases{"告警", "恢复", "开始于", "结束于", "处理手册", "面板", "另有 %d 条", "…（已截断，全文见 Alertmanager）",
		"已 %v 未收到心跳：Prometheus 或 Alertmanager 不可用，其他告警可能无法送达", "心跳已恢复：告警链路正常"}
}

// FormatMarkdown writes n as a robot's Markdown, at most limit bytes, cut between characters. cut says whether something was left out.
func FormatMarkdown(n Notification, lang Language, limit int) (text string, cut bool) {
	w := lang.phrases()
	var b strings.Builder
	firing := slices.DeleteFunc(slices.Clone(n.Alerts), func(a Alert) bool { return a.Status == "resolved" })
	if len(firing) > 0 {
		fmt.Fprintf(&b, "<font color=\"%s\">**%s %d · %s**</font>\n", colorOf(n), w.firing, len(firing)+n.Truncated, n.CommonLabels["alertname"])
	} else {
		fmt.Fprintf(&b, "<font color=\"info\">**%s · %s**</font>\n", w.resolved, n.CommonLabels["alertname"])
	}
	for _, a := range n.Alerts {
		b.WriteString(lang.formatAlert(a, w))
	}
	if n.Truncated > 0 {
		fmt.Fprintf(&b, w.more+"\n", n.Truncated)
	}
	return shorten(b.String(), limit, w.cut)
}

func (l Language) formatAlert(a Alert, w phrases) string {
	var b strings.Builder
	summary := a.Annotations["summary"]
	if zh := a.Annotations["summary_zh"]; l == Chinese && zh != "" {
		summary = zh
	}
	if summary == "" {
		summary = a.Labels["alertname"]
	}
	if a.Status == "resolved" {
		fmt.Fprintf(&b, "> ✅ %s\n> %s %s\n", summary, w.until, a.EndsAt.Local().Format(timeFormat))
		return b.String()
	}
	fmt.Fprintf(&b, "> %s\n", summary)
	if d := a.Annotations["description"]; d != "" && l == English {
		fmt.Fprintf(&b, "> %s\n", d)
	}
	fmt.Fprintf(&b, "> %s %s", w.since, a.StartsAt.Local().Format(timeFormat))
	for _, link := range []struct{ title, url string }{{w.runbook, a.Annotations["runbook_url"]}, {w.board, a.Annotations["board_url"]}} {
		// A robot's links open in a browser, which follows no link to a file.
		if strings.HasPrefix(link.url, "http") {
			fmt.Fprintf(&b, " · [%s](%s)", link.title, link.url)
		}
	}
	b.WriteString("\n")
	return b.String()
}

func colorOf(n Notification) string {
	if n.CommonLabels["severity"] == "critical" {
		return "warning" // a robot's word for orange-red
	}
	return "comment"
}

// shorten cuts text to limit bytes with note at its end, never within a character. Bytes that are no UTF-8 are replaced first: a
// robot refuses the whole message for one of them.
func shorten(text string, limit int, note string) (string, bool) {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= limit {
		return text, false
	}
	end := max(limit-len(note), 0)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + note, true
}
