package user

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Languages of mails.
const (
	LanguageEnglish = "en"
	LanguageChinese = "zh"
)

// mailKind is a kind of mail: its text in each language, and for one with a link the path and the lifetime of its token.
type mailKind struct {
	lifetime time.Duration // 0: the mail has no token
	path     string        // of the page that the link opens
	texts    map[string]mailText
}

// mailText is the text of a mail in one language.
type mailText struct {
	subject string
	before  string // the paragraph before the link
	after   string // the last paragraph
}

var mailKinds = map[string]mailKind{
	PurposeVerify: {lifetime: 48 * time.Hour, path: "/api/v1/auth/email/verify", texts: map[string]mailText{
		LanguageEnglish: {"Confirm your e-mail address", "Open this page within 48 hours to confirm your e-mail address", "If you did not sign up, ignore this mail."},
		LanguageChinese: {"请确认您的邮箱地址 (Confirm)", "请在 48 小时内打开以下页面，确认您的邮箱地址", "如果您没有注册，请忽略此邮件。"},
	}},
	PurposeReset: {lifetime: time.Hour, path: "/api/v1/auth/password/reset", texts: map[string]mailText{
		LanguageEnglish: {"Reset your password", "Open this page within one hour to set a new password", "If you did not ask for this, ignore this mail. Your password stays as it is."},
		LanguageChinese: {"重置您的密码 (Reset)", "请在一小时内打开以下页面，设置新密码", "如果这不是您本人的请求，请忽略此邮件。您的密码不会改变。"},
	}},
	PurposePasswordChanged: {texts: map[string]mailText{
		LanguageEnglish: {"Your password was changed", "The password of your account was changed at %s. Other devices are signed out.", "If this was not you, ask for a new password on the sign-in page at once."},
		LanguageChinese: {"您的密码已更改", "您的账户密码已于 %s 更改，其他设备已退出登录。", "如果这不是您本人的操作，请立即在登录页面重新设置密码。"},
	}},
	PurposeNewDevice: {texts: map[string]mailText{
		LanguageEnglish: {"A new device signed in", "A device that was not seen before signed in to your account at %s.", "If this was not you, change your password at once. This signs out all other devices."},
		LanguageChinese: {"新设备登录提醒", "一台新设备于 %s 登录了您的账户。", "如果这不是您本人的操作，请立即更改密码，其他所有设备将随之退出登录。"},
	}},
}

// write returns the subject and the text of a mail in the user's language. A name is only in mails to a verified address:
// before, it could be the text of someone who does not own the address.
func (k mailKind) write(u User, baseURL, token string, now time.Time) (subject, text string) {
	t, ok := k.texts[u.Language]
	if !ok {
		t = k.texts[LanguageEnglish]
	}
	hello, comma, link, hint, colon := "Hello", ",", "Link", "Or use this code", ":"
	if u.Language == LanguageChinese {
		hello, comma, link, hint, colon = "您好", "，", "链接", "或使用以下代码", "："
	}
	if u.EmailVerified && !looksLikeLink(u.Name) {
		hello += " " + u.Name
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s\n\n", hello, comma)
	if k.lifetime > 0 {
		// The token is in the fragment, which browsers send to no server, so it is in no log.
		fmt.Fprintf(&b, "%s%s\n\n%s: <%s%s#token=%s>\n\n%s%s\n\n%s\n", t.before, colon, link, strings.TrimRight(baseURL, "/"), k.path, token, hint, colon, token)
	} else {
		fmt.Fprintf(&b, t.before+"\n", now.UTC().Format("2006-01-02 15:04 UTC"))
	}
	fmt.Fprintf(&b, "\n%s\n", t.after)
	return t.subject, b.String()
}

// linkPattern matches what mail programs turn into links, in any script.
var linkPattern = regexp.MustCompile(`[^\s][.．。:：/@\\][^\s]|(?i)www`)

func looksLikeLink(name string) bool { return linkPattern.MatchString(name) }
