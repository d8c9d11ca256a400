package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestMarkdown(t *testing.T) {
	local := time.Local
	time.Local = time.FixedZone("CST", 8*3600)
	t.Cleanup(func() { time.Local = local })
	linked := notification("MySQL 无响应")
	linked.Alerts[0].Annotations["board_url"] = "https://grafana.test/d/pgo-data"
	inFile := notification("MySQL 无响应")
	inFile.Alerts[0].Annotations["runbook_url"] = "file:///srv/docs/runbooks/MySQLDown.md"
	resolved := notification("MySQL 无响应")
	resolved.Status, resolved.Alerts[0].Status, resolved.Alerts[0].EndsAt = "resolved", "resolved", time.Date(2026, 1, 2, 4, 0, 0, 0, time.UTC)
	more := notification("MySQL 无响应")
	more.Truncated = 7
	tests := []struct {
		name string
		n    Notification
		lang Language
		want string
	}{
		{"Chinese", notification("MySQL 无响应"), Chinese, "<font color=\"warning\">**告警 1 · MySQLDown**</font>\n> MySQL 无响应\n> 开始于 01-02 11:04 CST · [处理手册](https://runbooks.test/MySQLDown.md)\n"},
		{"English", notification("MySQL 无响应"), English, "<font color=\"warning\">**firing 1 · MySQLDown**</font>\n> MySQL does not answer\n> since 01-02 11:04 CST · [runbook](https://runbooks.test/MySQLDown.md)\n"},
		{"no Chinese text", notification(""), Chinese, "<font color=\"warning\">**告警 1 · MySQLDown**</font>\n> MySQL does not answer\n> 开始于 01-02 11:04 CST · [处理手册](https://runbooks.test/MySQLDown.md)\n"},
		{"a board", linked, English, "<font color=\"warning\">**firing 1 · MySQLDown**</font>\n> MySQL does not answer\n> since 01-02 11:04 CST · [runbook](https://runbooks.test/MySQLDown.md) · [board](https://grafana.test/d/pgo-data)\n"},
		{"a link that no browser follows", inFile, Chinese, "<font color=\"warning\">**告警 1 · MySQLDown**</font>\n> MySQL 无响应\n> 开始于 01-02 11:04 CST\n"},
		{"resolved", resolved, Chinese, "<font color=\"info\">**恢复 · MySQLDown**</font>\n> ✅ MySQL 无响应\n> 结束于 01-02 12:00 CST\n"},
		{"what Alertmanager left out", more, Chinese, "<font color=\"warning\">**告警 8 · MySQLDown**</font>\n> MySQL 无响应\n> 开始于 01-02 11:04 CST · [处理手册](https://runbooks.test/MySQLDown.md)\n另有 7 条\n"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if got, cut := FormatMarkdown(tc.n, tc.lang, maxBytes); got != tc.want || cut {
				t.Errorf("%q, cut %v, want %q", got, cut, tc.want)
			}
		})
	}
}

// Whatever the limit is, what is sent is whole characters, within it, and says that it was cut.
func FuzzShorten(f *testing.F) {
	f.Add(strings.Repeat("数据库", 1000), 100)
	f.Add("a\xffb", 200)
	f.Add("🔥🔥", 60)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		note := Chinese.phrases().cut
		limit = len(note) + max(limit, 0)%5000
		got, cut := shorten(text, limit, note)
		if len(got) > limit || !utf8.ValidString(got) || cut != strings.HasSuffix(got, note) && !strings.HasSuffix(text, note) {
			t.Errorf("%q (%d bytes of %d), cut %v", got, len(got), limit, cut)
		}
		if !cut && got != strings.ToValidUTF8(text, "\uFFFD") {
			t.Errorf("%q was changed to %q", text, got)
		}
	})
}
