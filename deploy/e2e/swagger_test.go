package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgo/pkg/testing/testkit"
)

// swaggerUI uses Swagger UI as people do, over all three specifications: two sign up and in with "Try it out", give
// their tokens to "Authorize", and go from a new school to a graded submission.
func swaggerUI(t *testing.T, s *stack) {
	p := newPage(t)
	p.open(s.url("/swagger/"))
	p.see(`.swagger-ui .info a[href$="specs/user.json"]`) // it opens on the service where people sign in
	p.see(`.opblock`)
	if first := p.text(`.opblock .opblock-summary-path`); !strings.Contains(first, "/auth/register") {
		p.t.Errorf("the first operation is %q", first)
	}
	if !p.is(`getComputedStyle(document.body).marginTop === "0px"`) {
		p.t.Error("the page has a margin")
	}
	if said := p.text(`.back`); !strings.Contains(said, "bare") {
		p.t.Errorf("the page does not say how a token is given: %q", said)
	}
	p.choose("user")
	teacher, student := p.signUp(), p.signUp()
	if status, _ := p.tryIt("get", "/users/me", nil, nil); status != "401" {
		t.Errorf("without a token the answer is %s", status)
	}
	p.authorize("Bearer " + teacher.token)
	if status, body := p.tryIt("get", "/users/me", nil, nil); status != "200" || !strings.Contains(body, teacher.email) {
		t.Errorf("with the token the answer is %s %s", status, body)
	}

	p.choose("school") // the token goes on being used
	school := p.does("201", "post", "/schools", nil, map[string]string{"name": "Made in a browser", "timezone": "Europe/Berlin"}).ID
	invite := p.does("201", "post", "/schools/{id}/invites", params{"id": school}, map[string]any{"role": "student", "max_uses": 1, "expires_at": inDays(1)}).Code
	class := p.does("201", "post", "/schools/{id}/classes", params{"id": school}, map[string]string{"name": "7A", "grade": "7"}).ID
	p.does("201", "put", "/classes/{id}/members/{user_id}", params{"id": class, "user_id": teacher.id}, map[string]string{"role": "teacher"})
	p.authorize("Bearer " + student.token)
	p.does("201", "post", "/invites/{code}/accept", params{"code": invite}, nil)
	p.authorize(teacher.token) // the word before it is the page's to add
	p.does("201", "put", "/classes/{id}/members/{user_id}", params{"id": class, "user_id": student.id}, map[string]string{"role": "student"})

	p.choose("task")
	var task string
	testkit.Eventually(t, "the class can be given a task", func() error {
		status, body := p.tryIt("post", "/tasks", nil, aTask(class))
		if status != "201" {
			return fmt.Errorf("%s %s", status, body)
		}
		task = p.read(body).ID
		return nil
	})
	p.does("202", "post", "/tasks/{id}/publish", params{"id": task}, nil)
	p.authorize("Bearer " + student.token)
	testkit.Eventually(t, "the student has the task", func() error {
		if status, body := p.tryIt("put", "/tasks/{id}/submission", params{"id": task}, aSubmission()); status != "200" {
			return fmt.Errorf("%s %s", status, body)
		}
		return nil
	})
	p.authorize("Bearer " + teacher.token)
	graded := p.does("200", "put", "/tasks/{id}/submissions/{user_id}/grade", params{"id": task, "user_id": student.id}, map[string]any{"score": 9, "feedback": "Good."})
	if graded.Status != "graded" || graded.Score != 9 {
		t.Errorf("the submission is %+v", graded)
	}
	p.does("200", "get", "/tasks/{id}/stats", params{"id": task}, nil)
}

// startPage shows every service's state and leads to Swagger UI.
func startPage(t *testing.T, s *stack) {
	p := newPage(t)
	p.open(s.url("/"))
	for _, name := range append(services(), "bootcheck") {
		p.see(`#services tr[data-name="` + name + `"] .state.ready`)
	}
	p.click(`a[href="/swagger/"]`)
	p.see(`#swagger-ui #select`)
	p.click(`.back a`)
	p.see(`#services`)
}

// params holds the values of an operation's parameters, by name.
type params map[string]string

// made holds the fields that are read from answers.
type made struct {
	ID          string `json:"id"`
	Code        string `json:"code"`
	AccessToken string `json:"access_token"`
	Status      any    `json:"status"`
	Score       int    `json:"score"`
}

// signUp makes an account and signs in to it.
func (p page) signUp() person {
	p.t.Helper()
	who := person{email: newEmail()}
	who.id = p.does("201", "post", "/auth/register", nil, map[string]string{"email": who.email, "password": password, "name": "Browser"}).ID
	who.token = p.does("200", "post", "/auth/login", nil, map[string]string{"email": who.email, "password": password}).AccessToken
	return who
}

// authorize gives a token to "Authorize", in the place of the one before.
func (p page) authorize(token string) {
	p.t.Helper()
	p.click(`.auth-wrapper .authorize`)
	p.see(`.modal-ux .auth-btn-wrapper`)
	if !p.is(`document.querySelector(".modal-ux input") !== null`) {
		p.click(`.modal-ux .auth-btn-wrapper button:not(.btn-done)`) // "Logout"
	}
	p.fill(`.modal-ux input`, token)
	p.click(`.modal-ux .auth-btn-wrapper .authorize`)
	p.click(`.modal-ux .btn-done`)
	p.gone(`.modal-ux`)
}

// does executes an operation, fails the test unless it answers with status, and returns what was made.
func (p page) does(status, method, path string, in params, body any) made {
	p.t.Helper()
	got, answer := p.tryIt(method, path, in, body)
	if got != status {
		p.t.Fatalf("%s %s answers %s %s", method, path, got, answer)
	}
	return p.read(answer)
}

func (p page) read(answer string) made {
	p.t.Helper()
	var m made
	if err := json.Unmarshal([]byte(answer), &m); err != nil {
		p.t.Fatalf("%s: %v", answer, err)
	}
	return m
}

// choose takes one of the specifications and waits until it shows. The one before has to be there first: Swagger UI shows
// what came last, so a slow answer to its first question would take the place of what was chosen meanwhile.
func (p page) choose(service string) {
	p.t.Helper()
	p.see(`#select`)
	p.see(`.swagger-ui .info a[href*="specs/"]`)
	p.fill(`#select`, "specs/"+service+".json")
	if chosen := strings.TrimSpace(p.text(`#select option:checked`)); chosen != service {
		p.t.Errorf("the chosen specification is %q, not %s", chosen, service)
	}
	p.see(`.swagger-ui .info a[href$="specs/` + service + `.json"]`)
}

// tryIt executes an operation of the chosen specification and returns status and body of the live answer.
func (p page) tryIt(method, path string, in params, body any) (status, answer string) {
	p.t.Helper()
	block := fmt.Sprintf(`.opblock-%s:has([data-path=%q])`, method, path)
	p.see(block)
	if p.is(fmt.Sprintf(`document.querySelector(%q).classList.contains("is-open")`, block)) {
		p.click(block + ` .btn-clear`)
		p.gone(block + ` .live-responses-table`)
	} else {
		p.click(block + ` .opblock-summary-control`)
	}
	for name, value := range in {
		p.fill(fmt.Sprintf(`%s [data-param-name=%q] input`, block, name), value)
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
