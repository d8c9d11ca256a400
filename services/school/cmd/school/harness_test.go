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

// testEnv holds the servers of one or more instances, and an issuer of tokens in place of User.
type testEnv struct {
	*servicetest.Env
	issuer *servicetest.Issuer
}

// program returns the program under test.
func program() servicetest.Service {
	return servicetest.Service{
		Name: "school", Migrations: migrations.FS, Topology: events.Topology(), Run: run, ConfigDir: "../../../../configs",
		Secrets: []string{"@example.org"},
	}
}

func newTestEnv(t *testing.T) *testEnv {
	t.Helper()
	env := &testEnv{issuer: servicetest.NewIssuer(t), Env: servicetest.NewEnv(t, program())}
	env.Environ = append(env.Environ, env.issuer.Environ()...)
	return env
}

// testClient is a running instance together with the test that it fails.
type testClient struct {
	t testing.TB
	*servicetest.Instance
}

func (env *testEnv) start(t *testing.T, environ ...string) *testClient {
	t.Helper()
	return &testClient{t, env.Start(t, environ...)}
}

// withT returns the service with the test that it fails.
func (s *testClient) withT(t testing.TB) *testClient { return &testClient{t, s.Instance} }

func (s *testClient) send(r request) response {
	s.t.Helper()
	return s.Do(s.t, r)
}

// expect sends a request and fails the test unless the response has the status and, for an error, the code.
func (s *testClient) expect(r request, status int, code string) response {
	s.t.Helper()
	return s.Expect(s.t, r, status, code)
}

// sendParallel sends the requests concurrently and returns the responses in their order.
func (s *testClient) sendParallel(requests ...request) []response {
	s.t.Helper()
	return s.Parallel(s.t, requests...)
}

// awaitReadiness waits until /readyz returns the status, with the dependency among the unavailable ones.
func (s *testClient) awaitReadiness(status int, missing string) {
	s.t.Helper()
	s.AwaitReadiness(s.t, status, missing)
}

// person is a user with an access token.
type person struct {
	ID, Token string
}

func (env *testEnv) person(t testing.TB) person { return env.personWithRole(t, "user") }

func (env *testEnv) personWithRole(t testing.TB, role string) person {
	t.Helper()
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	return person{ID: id.String(), Token: env.issuer.NewToken(id.String(), role)}
}

// personWithName returns a person whose name the service has received in an event.
func (env *testEnv) personWithName(t testing.TB, s *testClient, name string) person {
	t.Helper()
	p := env.person(t)
	env.Publish(t, "user", "user.created.v1", p.ID, 1, map[string]string{"id": p.ID, "name": name, "email": "x@example.org", "role": "user", "status": "active"})
	s.awaitRow("SELECT TRUE FROM people WHERE user_id = ? AND sequence = 1", p.ID)
	return p
}

const (
	schools = "/api/v1/schools"
	classes = "/api/v1/classes/"
	invites = "/api/v1/invites/"
)

// createSchool creates a school and returns its id.
func (s *testClient) createSchool(owner person) string {
	s.t.Helper()
	return s.expect(request{Method: "POST", Path: schools, Token: owner.Token, Body: map[string]string{"name": "Lakeside", "timezone": "Europe/Berlin"}}, 201, "").Text("id")
}

// createInvite creates an invite and returns its code.
func (s *testClient) createInvite(by person, schoolID, role string, uses int) string {
	s.t.Helper()
	return s.expect(request{Method: "POST", Path: schools + "/" + schoolID + "/invites", Token: by.Token, Body: inviteBody(role, uses)}, 201, "").Text("code")
}

func inviteBody(role string, uses int) map[string]any {
	return map[string]any{"role": role, "max_uses": uses, "expires_at": time.Now().Add(time.Hour).UTC()}
}

func (s *testClient) acceptInvite(p person, code string) response {
	s.t.Helper()
	return s.expect(acceptRequest(p, code), 201, "")
}

func acceptRequest(p person, code string) request {
	return request{Method: "POST", Path: invites + code + "/accept", Token: p.Token}
}

// addMembers makes people members.
func (s *testClient) addMembers(owner person, schoolID, role string, people ...person) {
	s.t.Helper()
	as := role
	if role == "owner" { // no one can be invited as owner
		as = "admin"
	}
	code := s.createInvite(owner, schoolID, as, len(people))
	for _, p := range people {
		s.acceptInvite(p, code)
		if as != role {
			s.expect(setRoleRequest(owner, schoolID, p, role), 200, "")
		}
	}
}

func setRoleRequest(by person, schoolID string, of person, role string) request {
	return request{Method: "PATCH", Path: schools + "/" + schoolID + "/members/" + of.ID, Token: by.Token, Body: map[string]string{"role": role}}
}

func removeMemberRequest(by person, schoolID string, who person) request {
	return request{Method: "DELETE", Path: schools + "/" + schoolID + "/members/" + who.ID, Token: by.Token}
}

// createClass creates a class and returns its id.
func (s *testClient) createClass(by person, schoolID, name string) string {
	s.t.Helper()
	return s.expect(request{Method: "POST", Path: schools + "/" + schoolID + "/classes", Token: by.Token, Body: map[string]string{"name": name, "grade": "7"}}, 201, "").Text("id")
}

// archiveClassRequest returns a request that archives a class with the name.
func archiveClassRequest(by person, classID, name string) request {
	return request{Method: "DELETE", Path: classes + classID, Token: by.Token, Body: map[string]string{"name": name}}
}

// archiveSchoolRequest returns a request that archives a school with the name.
func archiveSchoolRequest(by person, schoolID, name string) request {
	return request{Method: "DELETE", Path: schools + "/" + schoolID, Token: by.Token, Body: map[string]string{"name": name}}
}

func putClassMemberRequest(by person, classID string, who person, role string) request {
	return request{Method: "PUT", Path: classes + classID + "/members/" + who.ID, Token: by.Token, Body: map[string]string{"role": role}}
}

func removeClassMemberRequest(by person, classID string, who person) request {
	return request{Method: "DELETE", Path: classes + classID + "/members/" + who.ID, Token: by.Token}
}

// listRoles returns the roles of a list's items by user id.
func (s *testClient) listRoles(path string, as person) map[string]string {
	s.t.Helper()
	all := map[string]string{}
	for _, item := range s.expect(request{Method: "GET", Path: path + "?limit=100", Token: as.Token}, 200, "").Items() {
		all[item["user_id"].(string)] = item["role"].(string)
	}
	return all
}

func ifMatch(tag string) http.Header { return http.Header{"If-Match": {tag}} }
