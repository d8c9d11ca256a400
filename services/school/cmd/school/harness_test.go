package main

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgo/pkg/testing/servicetest"
	"pgo/services/school/events"
	"pgo/services/school/migrations"
)

type (
	request  = servicetest.Request
	response = servicetest.Response
)

// world is what one or more instances run on, with the issuer that stands for User.
type world struct {
	*servicetest.Env
	issuer *servicetest.Issuer
}

// program is the program under test.
func program() servicetest.Service {
	return servicetest.Service{
		Name: "school", Migrations: migrations.FS, Topology: events.Topology(), Run: run, ConfigDir: "../../../../configs",
		Secrets: []string{"@example.org"},
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{issuer: servicetest.NewIssuer(t), Env: servicetest.NewEnv(t, program())}
	w.Environ = append(w.Environ, w.issuer.Environ()...)
	return w
}

// testClient is a running instance for one test: what goes wrong is that test's failure.
type testClient struct {
	t testing.TB
	*servicetest.Instance
}

func (w *world) start(t *testing.T, environ ...string) *testClient {
	t.Helper()
	return &testClient{t, w.Start(t, environ...)}
}

// in returns the service for a subtest.
func (s *testClient) in(t testing.TB) *testClient { return &testClient{t, s.Instance} }

func (s *testClient) do(r request) response {
	s.t.Helper()
	return s.Do(s.t, r)
}

// want fails the test unless the answer has the status and, for an error, the code.
func (s *testClient) want(r request, status int, code string) response {
	s.t.Helper()
	return s.Expect(s.t, r, status, code)
}

// together makes the requests at the same time and returns the answers in their order.
func (s *testClient) together(requests ...request) []response {
	s.t.Helper()
	return s.Parallel(s.t, requests...)
}

// becomes waits until the instance says that it is ready or not, with the dependency among what is missing.
func (s *testClient) becomes(status int, missing string) {
	s.t.Helper()
	s.AwaitReadiness(s.t, status, missing)
}

// person is somebody who is signed in.
type person struct {
	ID, Token string
}

func (w *world) person(t testing.TB) person { return w.withRole(t, "user") }

func (w *world) withRole(t testing.TB, role string) person {
	t.Helper()
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	return person{ID: id.String(), Token: w.issuer.NewToken(id.String(), role)}
}

// named is a person whose name the service has heard.
func (w *world) named(t testing.TB, s *testClient, name string) person {
	t.Helper()
	p := w.person(t)
	w.Publish(t, "user", "user.created.v1", p.ID, 1, map[string]string{"id": p.ID, "name": name, "email": "x@example.org", "role": "user", "status": "active"})
	s.awaitRow("SELECT TRUE FROM people WHERE user_id = ? AND sequence = 1", p.ID)
	return p
}

const (
	schools = "/api/v1/schools"
	classes = "/api/v1/classes/"
	invites = "/api/v1/invites/"
)

// makeSchool makes a school and returns its id.
func (s *testClient) makeSchool(owner person) string {
	s.t.Helper()
	return s.want(request{Method: "POST", Path: schools, Token: owner.Token, Body: map[string]string{"name": "Lakeside", "timezone": "Europe/Berlin"}}, 201, "").Text("id")
}

// invite makes an invite and returns its code.
func (s *testClient) invite(by person, schoolID, role string, uses int) string {
	s.t.Helper()
	return s.want(request{Method: "POST", Path: schools + "/" + schoolID + "/invites", Token: by.Token, Body: newInvite(role, uses)}, 201, "").Text("code")
}

func newInvite(role string, uses int) map[string]any {
	return map[string]any{"role": role, "max_uses": uses, "expires_at": time.Now().Add(time.Hour).UTC()}
}

func (s *testClient) accept(p person, code string) response {
	s.t.Helper()
	return s.want(accept(p, code), 201, "")
}

func accept(p person, code string) request {
	return request{Method: "POST", Path: invites + code + "/accept", Token: p.Token}
}

// join makes people members.
func (s *testClient) join(owner person, schoolID, role string, people ...person) {
	s.t.Helper()
	as := role
	if role == "owner" { // which nobody can be invited as
		as = "admin"
	}
	code := s.invite(owner, schoolID, as, len(people))
	for _, p := range people {
		s.accept(p, code)
		if as != role {
			s.want(setRole(owner, schoolID, p, role), 200, "")
		}
	}
}

func setRole(by person, schoolID string, of person, role string) request {
	return request{Method: "PATCH", Path: schools + "/" + schoolID + "/members/" + of.ID, Token: by.Token, Body: map[string]string{"role": role}}
}

func removeMember(by person, schoolID string, who person) request {
	return request{Method: "DELETE", Path: schools + "/" + schoolID + "/members/" + who.ID, Token: by.Token}
}

// makeClass makes a class and returns its id.
func (s *testClient) makeClass(by person, schoolID, name string) string {
	s.t.Helper()
	return s.want(request{Method: "POST", Path: schools + "/" + schoolID + "/classes", Token: by.Token, Body: map[string]string{"name": name, "grade": "7"}}, 201, "").Text("id")
}

func putInClass(by person, classID string, who person, role string) request {
	return request{Method: "PUT", Path: classes + classID + "/members/" + who.ID, Token: by.Token, Body: map[string]string{"role": role}}
}

func removeFromClass(by person, classID string, who person) request {
	return request{Method: "DELETE", Path: classes + classID + "/members/" + who.ID, Token: by.Token}
}

// roles returns the roles of a list's items by user id.
func (s *testClient) roles(path string, as person) map[string]string {
	s.t.Helper()
	all := map[string]string{}
	for _, item := range s.want(request{Method: "GET", Path: path + "?limit=100", Token: as.Token}, 200, "").Items() {
		all[item["user_id"].(string)] = item["role"].(string)
	}
	return all
}

func ifMatch(tag string) http.Header { return http.Header{"If-Match": {tag}} }
