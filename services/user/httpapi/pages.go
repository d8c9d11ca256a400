package httpapi

import (
	"crypto/sha256"
	_ "embed" // for the page
	"encoding/base64"
	"html/template"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"pgo/pkg/httpx"
	"pgo/services/user"
)

// linkPage is the page that a mail's link opens. Its script reads the token from the fragment, which is sent to no server, and
// posts it to the page's own address. Nothing happens until the person presses the button: programs that look at the links in
// mails spend no token.
//
//go:embed page.html
var linkPage string

//go:embed page.js
var linkScript string

// pageTexts are the texts of a page in one language.
type pageTexts struct {
	Language, Title, Password, Button, Done, Failed string
	NeedsPassword                                   bool
}

var pages = map[string]map[string]pageTexts{
	user.PurposeVerify: {
		user.LanguageEnglish: {Language: "en", Title: "Confirm your e-mail address", Button: "Confirm", Done: "Your e-mail address is confirmed.", Failed: "This link is used or expired. Ask for a new one."},
		user.LanguageChinese: {Language: "zh", Title: "确认邮箱地址", Button: "确认", Done: "您的邮箱地址已确认。", Failed: "此链接已使用或已过期，请重新获取。"},
	},
	user.PurposeReset: {
		user.LanguageEnglish: {Language: "en", Title: "Set a new password", Password: "New password, at least 10 characters", Button: "Set password", Done: "Your password is set. You can sign in with it.", Failed: "This link is used or expired. Ask for a new one.", NeedsPassword: true},
		user.LanguageChinese: {Language: "zh", Title: "设置新密码", Password: "新密码，至少 10 个字符", Button: "设置密码", Done: "密码已设置，您可以用新密码登录。", Failed: "此链接已使用或已过期，请重新获取。", NeedsPassword: true},
	},
}

// linkPageHandler returns the handler of the page for a purpose.
func linkPageHandler(purpose string) func(*gin.Context) error {
	page := template.Must(template.New("page").Parse(linkPage))
	sum := sha256.Sum256([]byte(linkScript))
	policy := "default-src 'none'; connect-src 'self'; script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return func(c *gin.Context) error {
		if err := httpx.RejectQuery(c); err != nil {
			return err
		}
		var b strings.Builder
		data := struct {
			pageTexts
			Script template.JS
		}{pages[purpose][user.MatchLanguage(c.GetHeader("Accept-Language"))], template.JS(linkScript)}
		if err := page.Execute(&b, data); err != nil {
			return err
		}
		for key, value := range map[string]string{
			"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Vary": "Accept-Language",
		} {
			c.Header(key, value)
		}
		c.Data(http.StatusOK, "text/html; charset=utf-8", []byte(b.String()))
		return nil
	}
}

// showVerifyPage godoc
//
//	@Summary		Show the page that the link in a verification mail opens
//	@Description	The token is in the link's fragment. The page posts it to this address.
//	@Tags			auth
//	@Produce		html
//	@Success		200	{string}	string	"a page in English or Chinese"
//	@Router			/auth/email/verify [get]
func (a *API) showVerifyPage() gin.HandlerFunc {
	return httpx.Handle(linkPageHandler(user.PurposeVerify))
}

// showResetPage godoc
//
//	@Summary		Show the page that the link in a reset mail opens
//	@Description	The token is in the link's fragment. The page posts it, with the new password, to this address.
//	@Tags			auth
//	@Produce		html
//	@Success		200	{string}	string	"a page in English or Chinese"
//	@Router			/auth/password/reset [get]
func (a *API) showResetPage() gin.HandlerFunc {
	return httpx.Handle(linkPageHandler(user.PurposeReset))
}
