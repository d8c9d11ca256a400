package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// swaggerUI uses Swagger UI as a person does: chooses the specification, signs up and in with "Try it out",
// gives the token to "Authorize", calls a protected operation and reads the answer.
func swaggerUI(t *testing.T, s *stack) {
	p := newPage(t)
	email := newEmail()
	p.open(s.url("/swagger/"))
	p.see(`#select`)
	p.fill(`#select`, "specs/user.json")
	if chosen := p.text(`#select option:checked`); !strings.EqualFold(strings.TrimSpace(chosen), "user") {
		t.Errorf("the chosen specification is %q", chosen)
	}

	if status, body := p.tryIt("post", "/auth/register", map[string]string{"email": email, "password": password, "name": "Browser"}); status != "201" {
		t.Fatalf("signing up answers %s %s", status, body)
	}
	status, body := p.tryIt("post", "/auth/login", map[string]string{"email": email, "password": password})
	var tokens struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(body), &tokens); err != nil || status != "200" {
		t.Fatalf("signing in answers %s %s: %v", status, body, err)
	}
	if status, _ := p.tryIt("get", "/users/me", nil); status != "401" {
		t.Errorf("without a token the answer is %s", status)
	}

	p.click(`.auth-wrapper .authorize`)
	p.fill(`.modal-ux input`, "Bearer "+tokens.AccessToken)
	p.click(`.modal-ux .auth-btn-wrapper .authorize`)
	p.click(`.modal-ux .btn-done`)
	p.gone(`.modal-ux`)
	if status, body := p.tryIt("get", "/users/me", nil); status != "200" || !strings.Contains(body, email) {
		t.Errorf("with the token the answer is %s %s", status, body)
	}
}

// tryIt executes an operation of the chosen specification and returns status and body of the live answer.
func (p page) tryIt(method, path string, body any) (status, answer string) {
	p.t.Helper()
	block := fmt.Sprintf(`.opblock-%s:has([data-path=%q])`, method, path)
	p.see(block)
	if p.is(fmt.Sprintf(`document.querySelector(%q).classList.contains("is-open")`, block)) {
		p.click(block + ` .btn-clear`)
		p.gone(block + ` .live-responses-table`)
	} else {
		p.click(block + ` .opblock-summary-control`)
	}
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			p.t.Fatal(err)
		}
		p.fill(block+` textarea`, string(text))
	}
	p.click(block + ` .execute`)
	row := block + ` .live-responses-table tbody .response`
	p.see(row)
	return strings.TrimSpace(p.text(row + ` .response-col_status`)), p.text(row + ` .highlight-code pre`)
}
