package main

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgo/pkg/testing/servicetest"
)

// loginFrom returns a login from an address: the test acts as a proxy that the service trusts.
func loginFrom(ip, email, pw string) request {
	return request{
		Method: "POST", Path: "/api/v1/auth/login", Body: map[string]string{"email": email, "password": pw}, Header: http.Header{"X-Forwarded-For": {ip}},
	}
}

const wrong = "a wrong password"

// deviceLogin returns a login from an address on a device that is known by its token.
func deviceLogin(ip, email, pw, device string) request {
	r := loginFrom(ip, email, pw)
	r.Body = map[string]string{"email": email, "password": pw, "device_token": device}
	return r
}

// signInDevice signs in and returns the device's token.
func (s *testClient) signInDevice(ip, email string) string {
	s.t.Helper()
	return s.expect(loginFrom(ip, email, password), 200, "").Text("device_token")
}

// useUpAccount fails to sign in from other addresses until the account refuses unknown devices.
func (s *testClient) useUpAccount(email, network string) {
	s.t.Helper()
	for i := range 5 {
		s.expect(loginFrom(fmt.Sprintf(network, 100+i), email, wrong), 401, "invalid_credentials")
	}
	res := s.expect(loginFrom(fmt.Sprintf(network, 105), email, wrong), 429, "too_many_attempts")
	if after, err := strconv.Atoi(res.Header.Get("Retry-After")); err != nil || after < 1 || after > 600 {
		s.t.Errorf("Retry-After is %q after five failures, want up to 10 min", res.Header.Get("Retry-After"))
	}
}

func TestThrottle(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	// The waits are longer than the test takes on any machine.
	s := env.start(t, "PGO_CFG_LOGIN__DELAY=10m", "PGO_CFG_LOGIN__ADDRESS=12", "PGO_CFG_LOGIN__INVENTED=4", "PGO_CFG_LOGIN__SIGN_UP=4")
	net := 0
	for _, redis := range []string{"up", "down"} {
		if redis == "down" {
			env.RedisLink.Cut()
			s.awaitReadiness(200, "redis")
		}
		// Each test gets a person and a network of its own; %d stands for the host.
		for name, test := range map[string]func(t *testing.T, s *testClient, p person, network string){
			"failures from everywhere delay an unknown device": func(_ *testing.T, s *testClient, p person, network string) {
				s.useUpAccount(p.Email, network)
				s.expect(loginFrom(fmt.Sprintf(network, 1), p.Email, password), 429, "too_many_attempts")
			},
			"failures of others do not limit a known device": func(_ *testing.T, s *testClient, p person, network string) {
				here := fmt.Sprintf(network, 1)
				device := s.signInDevice(here, p.Email)
				s.useUpAccount(p.Email, network)
				s.expect(deviceLogin(here, p.Email, password, device), 200, "")
				byCookie := loginFrom(here, p.Email, password)
				byCookie.Header.Set("Cookie", "pgo_device="+device)
				s.expect(byCookie, 200, "")
				s.expect(deviceLogin(here, p.Email, password, device+"x"), 429, "too_many_attempts")
				s.expect(deviceLogin(here, p.Email, password, s.signInDevice(here, s.signUpFrom(network, 50).Email)), 429, "too_many_attempts")
			},
			"a known device is limited by itself": func(_ *testing.T, s *testClient, p person, network string) {
				here := fmt.Sprintf(network, 1)
				device := s.signInDevice(here, p.Email)
				for range 5 {
					s.expect(deviceLogin(here, p.Email, wrong, device), 401, "invalid_credentials")
				}
				s.expect(deviceLogin(here, p.Email, password, device), 429, "too_many_attempts")
			},
			"failures of others do not limit a change of the password": func(_ *testing.T, s *testClient, p person, network string) {
				s.useUpAccount(p.Email, network)
				change := request{Method: "PUT", Path: "/api/v1/users/me/password", Token: p.Access, Body: map[string]string{"current_password": password, "new_password": "another good password"}}
				s.expect(change, 204, "")
				s.expect(loginFrom(fmt.Sprintf(network, 1), p.Email, "another good password"), 200, "") // the guesses were for the old one
			},
			"a change of the password ends the device's token": func(_ *testing.T, s *testClient, p person, network string) {
				here := fmt.Sprintf(network, 1)
				device := s.signInDevice(here, p.Email)
				change := request{Method: "PUT", Path: "/api/v1/users/me/password", Token: p.Access, Body: map[string]string{"current_password": password, "new_password": "another good password"}}
				cookie := s.expect(change, 204, "").Header.Get("Set-Cookie")
				s.useUpAccount(p.Email, network)
				s.expect(deviceLogin(here, p.Email, "another good password", device), 429, "too_many_attempts")
				renewed := strings.TrimPrefix(strings.Split(cookie, ";")[0], "pgo_device=")
				s.expect(deviceLogin(here, p.Email, "another good password", renewed), 200, "")
			},
			"invented accounts use nothing up": func(_ *testing.T, s *testClient, p person, network string) {
				here := fmt.Sprintf(network, 1)
				for i := range 40 {
					s.expect(loginFrom(here, fmt.Sprintf("nobody%d@example.org", i), wrong), 401, "invalid_credentials")
				}
				s.expect(loginFrom(here, p.Email, wrong), 401, "invalid_credentials")
				s.expect(loginFrom(here, p.Email, password), 200, "")
			},
			"an invented account is delayed like another": func(_ *testing.T, s *testClient, _ person, network string) {
				s.useUpAccount(fmt.Sprintf("nobody-"+network, 0)+"@example.org", network)
			},
			"success costs nothing": func(_ *testing.T, s *testClient, p person, network string) {
				for range 15 {
					s.expect(loginFrom(fmt.Sprintf(network, 1), p.Email, password), 200, "")
				}
			},
			"one address on many accounts": func(_ *testing.T, s *testClient, p person, network string) {
				here := fmt.Sprintf(network, 1)
				device := s.signInDevice(here, p.Email)
				var last person
				for i := range 12 {
					last = s.signUpFrom(network, 10+i)
					s.expect(loginFrom(here, last.Email, wrong), 401, "invalid_credentials")
				}
				s.expect(loginFrom(here, p.Email, password), 429, "too_many_attempts")
				s.expect(loginFrom(here, "nobody@example.org", password), 429, "too_many_attempts") // not told apart
				s.expect(deviceLogin(here, p.Email, password, device), 200, "")
				s.expect(loginFrom(fmt.Sprintf(network, 2), p.Email, password), 200, "")
			},
			"parallel guesses are limited": func(t *testing.T, s *testClient, p person, network string) {
				var all []request
				for i := range 20 {
					all = append(all, loginFrom(fmt.Sprintf(network, i), p.Email, wrong))
				}
				if got := servicetest.CountStatuses(s.sendParallel(all...)); got[401] != 5 || got[429] != 15 {
					t.Errorf("statuses are %v, want five 401 and fifteen 429", got)
				}
			},
			"confirming the password counts in the session": func(_ *testing.T, s *testClient, p person, _ string) {
				deletion := request{Method: "DELETE", Path: "/api/v1/users/me", Token: p.Access, Body: map[string]string{"password": wrong}}
				change := request{Method: "PUT", Path: "/api/v1/users/me/password", Token: p.Access, Body: map[string]string{"current_password": wrong, "new_password": "another good password"}}
				for _, r := range []request{deletion, change, deletion, change, deletion} {
					s.expect(r, 401, "invalid_credentials")
				}
				change.Body = map[string]string{"current_password": password, "new_password": "another good password"}
				s.expect(change, 429, "too_many_attempts")
				s.expect(deletion, 429, "too_many_attempts")
				s.signIn(p, password) // another session is not limited
			},
			"sign-ups from one address": func(t *testing.T, s *testClient, _ person, network string) {
				for i := range 4 {
					s.expect(registerFrom(fmt.Sprintf(network, 1), fmt.Sprintf("n%d-"+network, i, 0)+"@example.org"), 201, "")
				}
				res := s.expect(registerFrom(fmt.Sprintf(network, 1), fmt.Sprintf("n-"+network, 0)+"@example.org"), 429, "too_many_sign_ups")
				if after, err := strconv.Atoi(res.Header.Get("Retry-After")); err != nil || after < 1 || after > 15*60 {
					t.Errorf("Retry-After is %q, want up to a quarter of an hour", res.Header.Get("Retry-After"))
				}
				s.expect(registerFrom(fmt.Sprintf(network, 2), fmt.Sprintf("n-"+network, 0)+"@example.org"), 201, "")
			},
		} {
			net++
			network := fmt.Sprintf("10.0.%d.%%d", net)
			t.Run(name+" with Redis "+redis, func(t *testing.T) {
				s := s.withT(t)
				test(t, s, s.signUpFrom(network, 200), network)
			})
		}
	}
}

func TestThrottleCountsIPv6ByNetwork(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t, "PGO_CFG_LOGIN__ADDRESS=3")
	var people []person
	for range 4 {
		people = append(people, s.signUp("Ada"))
	}
	for i, p := range people[:3] {
		s.expect(loginFrom(fmt.Sprintf("2001:db8::%d", i), p.Email, wrong), 401, "invalid_credentials")
	}
	s.expect(loginFrom("2001:db8::99", people[3].Email, password), 429, "too_many_attempts")
	s.expect(loginFrom("2001:db8:0:1::1", people[3].Email, password), 200, "")
}

func TestThrottleIsSharedByInstances(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	a, b := env.start(t, "PGO_CFG_LOGIN__ACCOUNT=4"), env.start(t, "PGO_CFG_LOGIN__ACCOUNT=4")
	p := a.signUp("Ada")
	for _, s := range []*testClient{a, b, a, b} {
		s.expect(loginFrom("10.1.1.1", p.Email, wrong), 401, "invalid_credentials")
	}
	for _, s := range []*testClient{a, b} {
		res := s.expect(loginFrom("10.1.1.1", p.Email, password), 429, "too_many_attempts")
		if after, err := strconv.Atoi(res.Header.Get("Retry-After")); err != nil || after < 1 || after > 3600 {
			t.Errorf("Retry-After is %q in a window of an hour", res.Header.Get("Retry-After"))
		}
	}
}

// TestSchoolSignsInFromOneAddress signs in 300 people behind one address within a minute. Every tenth mistypes the password
// first. All get in, although the limits are those of the configuration that is shipped.
func TestSchoolSignsInFromOneAddress(t *testing.T) {
	env := newTestEnv(t)
	s := env.start(t, "PGO_CFG_LOGIN__ADDRESS=300")
	people := make([]person, 300)
	first := s.expect(registerFrom("192.0.2.77", "first@example.org"), 201, "").Text("id") // with a hash of the real cost
	for i := range people {
		people[i].Email = fmt.Sprintf("p%d@example.org", i)
		_, err := s.DB.Exec("INSERT INTO users (id, email, name, role, status, email_verified, password_hash, version, sequence, created_at, updated_at) SELECT UUID(), ?, name, role, status, email_verified, password_hash, 1, 1, created_at, updated_at FROM users WHERE id = ?", people[i].Email, first)
		if err != nil {
			t.Fatal(err)
		}
	}
	const desks = 40 // which sign in at the same time
	var failed, signedIn atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	for desk := range desks {
		all.Go(func() {
			for i := desk; i < len(people); i += desks {
				if i%10 == 0 {
					if res, err := s.Try(loginFrom("192.0.2.77", people[i].Email, wrong)); err != nil || res.Status != 401 {
						t.Errorf("a typing error of person %d: got %d, %v", i, res.Status, err)
					}
					failed.Add(1)
				}
				res, err := s.Try(loginFrom("192.0.2.77", people[i].Email, password))
				if err != nil || res.Status != 200 {
					t.Errorf("person %d: got %d %s, %v", i, res.Status, res.Body, err)
					continue
				}
				signedIn.Add(1)
			}
		})
	}
	all.Wait()
	t.Logf("%d people signed in after %d typing errors in %v", signedIn.Load(), failed.Load(), time.Since(began))
	if signedIn.Load() != 300 || failed.Load() != 30 {
		t.Errorf("%d people signed in after %d typing errors", signedIn.Load(), failed.Load())
	}
}

// TestSignUpsDoNotDelaySignIns keeps 400 sign-ups in flight while another person signs in: each sign-up is answered or shed, no
// sign-in fails, and none waits for a queue of sign-ups. How long that takes is the machine's: so it counts how many of the
// waiting sign-ups are answered before a sign-in is.
func TestSignUpsDoNotDelaySignIns(t *testing.T) {
	env := newTestEnv(t)
	s := env.start(t, "PGO_CFG_LOGIN__SIGN_IN=100000", "PGO_CFG_HTTP__REQUEST_TIMEOUT=5m") // a slow machine needs longer than the default
	p := s.signUp("Ada")
	const signUps = 400
	// A sign-in that waited its turn would find 64 sign-ups before it, for each slot of theirs.
	maxOvertaking := int64(16 * max(1, runtime.GOMAXPROCS(0)/2))
	var created atomic.Int64
	var flood sync.WaitGroup
	answers := make(chan response, signUps)
	for i := range signUps {
		flood.Go(func() {
			res, err := s.Try(registerFrom(fmt.Sprintf("10.9.%d.%d", i/200, i%200), fmt.Sprintf("flood%d@example.org", i)))
			if err != nil {
				t.Errorf("sign-up %d: %v", i, err)
			}
			if res.Status == http.StatusCreated {
				created.Add(1)
			}
			answers <- res
		})
	}
	var slowest time.Duration
	var overtaking int64
	for made := 0; len(answers) < signUps || made == 0; made++ {
		began, before := time.Now(), created.Load()
		s.expect(loginFrom("10.8.0.1", p.Email, password), 200, "")
		slowest, overtaking = max(slowest, time.Since(began)), max(overtaking, created.Load()-before)
	}
	flood.Wait()
	close(answers)
	got := map[int]int{}
	for a := range answers {
		if got[a.Status]++; a.Status == 503 && (a.Code() != "busy" || a.Header.Get("Retry-After") == "") {
			t.Fatalf("shed with %s, Retry-After %q", a.Body, a.Header.Get("Retry-After"))
		}
	}
	t.Logf("the slowest sign-in took %v, and %d sign-ups at most were answered before a sign-in, during sign-ups with the statuses %v", slowest, overtaking, got)
	if got[201] == 0 || got[503] == 0 || got[201]+got[503] != signUps {
		t.Errorf("statuses are %v, want some 201 and the rest 503", got)
	}
	if overtaking > maxOvertaking {
		t.Errorf("%d sign-ups were answered before a sign-in, want %d at most", overtaking, maxOvertaking)
	}
}

// registerFrom returns a sign-up from an address.
func registerFrom(ip, email string) request {
	return request{
		Method: "POST", Path: "/api/v1/auth/register", Body: map[string]string{"email": email, "password": password, "name": "Ada"}, Header: http.Header{"X-Forwarded-For": {ip}},
	}
}

// signUpFrom registers a user from a host of the network, with a cheap password hash, and signs in there.
func (s *testClient) signUpFrom(network string, host int) person {
	s.t.Helper()
	ip := fmt.Sprintf(network, host)
	p := person{Email: fmt.Sprintf("p-%s@example.org", strings.ToLower(rand.Text()[:12]))}
	p.ID = s.expect(registerFrom(ip, p.Email), 201, "").Text("id")
	if _, err := s.DB.Exec("UPDATE users SET password_hash = ? WHERE id = ?", cheapHash, p.ID); err != nil {
		s.t.Fatal(err)
	}
	res := s.expect(loginFrom(ip, p.Email, password), 200, "")
	p.Access, p.Refresh = res.Text("access_token"), res.Text("refresh_token")
	return p
}

// TestLoginTimeIsSameForUnknownAddress compares medians, so that the time does not reveal which addresses have an
// account. Without hashing for unknown addresses the medians differ by much more than the bound.
func TestLoginTimeIsSameForUnknownAddress(t *testing.T) {
	env := newTestEnv(t)
	s := env.start(t, withoutLoginLimits()...)
	s.expect(request{Method: "POST", Path: "/api/v1/auth/register", Body: map[string]string{"email": "ada@example.org", "password": password, "name": "Ada"}}, 201, "")
	kinds := map[string]string{"known": "ada@example.org", "unknown": "nobody@example.org", "malformed": "not an address"}
	took := map[string][]time.Duration{}
	for range 15 {
		for kind, email := range kinds {
			began := time.Now()
			s.expect(loginFrom("10.0.0.1", email, wrong), 401, "invalid_credentials")
			took[kind] = append(took[kind], time.Since(began))
		}
	}
	median := func(kind string) time.Duration { slices.Sort(took[kind]); return took[kind][len(took[kind])/2] }
	for _, kind := range []string{"unknown", "malformed"} {
		if ratio := float64(median(kind)) / float64(median("known")); ratio < 0.6 || ratio > 1.7 {
			t.Errorf("an %s address takes %v, a known one %v", kind, median(kind), median("known"))
		}
	}
}
