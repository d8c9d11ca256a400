package user

import (
	"golang.org/x/text/language"

	"pgo/pkg/problem"
)

var languageMatcher = language.NewMatcher([]language.Tag{language.English, language.Chinese})

// MatchLanguage returns the language of mails that fits an Accept-Language header best, English if none does.
func MatchLanguage(accept string) string {
	tags, _, err := language.ParseAcceptLanguage(accept)
	if err != nil || len(tags) == 0 {
		return LanguageEnglish
	}
	if _, i, confidence := languageMatcher.Match(tags...); confidence > language.No && i == 1 {
		return LanguageChinese
	}
	return LanguageEnglish
}

func isLanguage(s string) bool { return s == LanguageEnglish || s == LanguageChinese }

func newLanguageError() problem.Field {
	return problem.Field{Field: "language", Code: "not_allowed", Message: "must be en or zh"}
}
