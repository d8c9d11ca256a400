package main

import (
	"regexp"
	"sync"
)

// rule is one expression that is not written here.
type rule struct {
	pattern  *regexp.Regexp
	instead  string
	comments bool // applies to Go comments alone
}

// rules returns the list. It holds only expressions that have no good use: a word with one is a matter of review.
var rules = sync.OnceValue(func() []rule {
	var list []rule
	for _, r := range []struct{ expression, instead string }{
		{`anew`, "again; restart, re-create, replace"},
		{`(made|makes?|making) (new )?again`, "restart, re-create, replace"},
		{`(made|makes?) new`, "restarted, re-created, replaced"},
		{`put(s|ting)?[ -]back`, "roll back; restore a file"},
		{`(is|are|was|were|be|been|being) away`, "is unavailable, down, unreachable"},
		{`folders?`, "directory"},
		{`surroundings`, "environment"},
		{`forerunners?`, "previous release"},
		{`in vain`, "not retryable; without effect"},
		{`last words`, "last log lines"},
		{`(made|makes?|making) (\w+ )?real`, "apply, applied"},
		{`patien(ce|t|tly)`, "timeout, grace period"},
		{`tall(y|ies|ied)`, "metrics, counter"},
		{`endur(e|es|ed|ing)`, "pass the probation; last"},
		{`bears`, "supports, is compatible with"},
		{`strangers?`, "unknown sender, non-member, another program"},
		{`outfits?`, "environment, release"},
		{`unstartable`, "invalid; cannot be started"},
		{`custodians?`, "platform admin"},
		{`heirs?`, "successor"},
		{`is no (port|director(y|ies)|file|number|address|program|socket|name|path|host|level|duration|size|key|value|color)`, "is not a ..."},
	} {
		list = append(list, rule{pattern: regexp.MustCompile(`(?i)\b(` + r.expression + `)\b`), instead: r.instead})
	}
	return append(list, rule{
		pattern:  regexp.MustCompile(`^[A-Za-z]+ (is|are) (what|who|all|those|one that|that of)\b`),
		instead:  "start with the subject and say what it does: \"Update changes ...\", \"Rollout is a ...\"",
		comments: true,
	})
})
