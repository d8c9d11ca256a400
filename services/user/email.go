package user

import (
	"context"
	"errors"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"pgo/pkg/problem"
	"pgo/pkg/text"
)

// domainProfile reads the domain of an address, in letters of any script or in their ASCII form ("xn--"), as a browser does.
var domainProfile = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.Transitional(false), idna.StrictDomainName(true))

// NormalizeEmail returns the form of an address that is stored and compared, and whether s is a valid address of at most 254
// bytes without a display name. The form is in lower case and composed (NFC), with the letters of the domain's own script.
func NormalizeEmail(s string) (string, bool) {
	s, ok := oldEmailForm(s)
	if !ok {
		return "", false
	}
	at := strings.LastIndexByte(s, '@')
	local := norm.NFC.String(s[:at])
	domain, err := domainProfile.ToUnicode(s[at+1:])
	if err != nil || domain == "" {
		return "", false
	}
	s, ok = oldEmailForm(local + "@" + norm.NFC.String(domain))
	return s, ok && norm.NFC.IsNormalString(s)
}

// oldEmailForm returns the form in which an address was stored before forms of one visible address were unified: in lower
// case. It also reports whether the address is valid.
func oldEmailForm(s string) (string, bool) {
	s = strings.TrimSpace(s)
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || a.Name != "" || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return text.IsUnsafe(r) || unicode.Is(unicode.Cf, r) }) {
		return "", false
	}
	if at := strings.LastIndexByte(s, '@'); strings.ContainsAny(s[at:], "[]_ ") || strings.ContainsAny(s[:at], "\" ") {
		return "", false // address literals and quoted local parts are legal, but people do not have them
	}
	s = strings.ToLower(s) // which may make it longer
	return s, len(s) <= maxEmail
}

// emailForms returns the forms under which the account of an address may be stored. An account from before the forms were
// unified is found by what its owner types.
func emailForms(typed, normal string) []string {
	if old, ok := oldEmailForm(typed); ok && old != normal {
		return []string{old, normal}
	}
	return []string{normal}
}

// isTakenUnderOldForm reports whether an account has a typed address in the form from before the forms were unified. The
// store ensures that no two accounts have the same normalized one.
func (s *Service) isTakenUnderOldForm(ctx context.Context, typed string) (bool, error) {
	normal, _ := NormalizeEmail(typed)
	forms := emailForms(typed, normal)
	if len(forms) == 1 {
		return false, nil
	}
	_, err := s.Reader.FindByEmail(ctx, forms...)
	if errors.Is(err, problem.NotFound()) {
		return false, nil
	}
	return err == nil, err
}
