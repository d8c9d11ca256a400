package main

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgo/pkg/testing/servicetest"
	"pgo/pkg/testing/testkit"
)

// loginFrom returns a login from an address: the test acts as a proxy that the service trusts.
func loginFrom(ip, email, pw string) request {
	return request{
		Method: "POST", Path: "/api/v1/auth/login", Body: map[string]string{"email": email, "password": pw}, Header: http.Header{"X-Forwarded-For": {ip}},
	}
}

const wrong = "a wrong password"

func TestThrottle(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t, "PGO_CFG_LOGIN__PAIR=3", "PGO_CFG_LOGIN__ACCOUNT=8", "PGO_CFG_LOGIN__ADDRESS=12")
	net := 0
	for _, redis := range []string{"up", "down"} {
		if redis == "down" {
			env.RedisLink.Cut()
			s.awaitReadiness(200, "redis")
		}
		// Each test gets a person and a network of its own; %d stands for the host.
		for name, test := range map[string]func(t *testing.T, s *testClient, p person, network string){
			"three failures": func(t *testing.T, s *testClient, p person, network string) {
				here, there := fmt.Sprintf(network, 1), fmt.Sprintf(network, 2)
				for range 3 {
					s.expect(loginFrom(here, p.Email, wrong), 401, "invalid_credentials")
				}
				for _, pw := range []string{wrong, password} {
					res := s.expect(loginFrom(here, p.Email, pw), 429, "too_many_attempts")
					if after, err := strconv.Atoi(res.Header.Get("Retry-After")); err != nil || after < 1 || after > 15*60 {
						t.Errorf("Retry-After is %q", res.Header.Get("Retry-After"))
					}
				}
				s.expect(loginFrom(there, p.Email, password), 200, "")
				s.expect(loginFrom(here, p.Email, password), 429, "too_many_attempts") // which did not reset it here
				s.expect(loginFrom(here, s.signUp("Bob").Email, password), 200, "")
			},
			"success resets": func(_ *testing.T, s *testClient, p person, network string) {
				here := fmt.Sprintf(network, 1)
				for range 4 {
					s.expect(loginFrom(here, p.Email, wrong), 401, "invalid_credentials")
					s.expect(loginFrom(here, p.Email, wrong), 401, "invalid_credentials")
					s.expect(loginFrom(here, p.Email, password), 200, "")
					p.Email = s.signUp("Next").Email // else the account's own limit is reached
				}
			},
			"success costs nothing": func(_ *testing.T, s *testClient, p person, network string) {
				for range 15 {
					s.expect(loginFrom(fmt.Sprintf(network, 1), p.Email, password), 200, "")
				}
			},
			"repeated attempts do not lock the account for others": func(_ *testing.T, s *testClient, p person, network string) {
				for range 30 {
					s.send(loginFrom(fmt.Sprintf(network, 1), p.Email, wrong))
				}
				s.expect(loginFrom(fmt.Sprintf(network, 2), p.Email, password), 200, "")
			},
			"many addresses on one account": func(_ *testing.T, s *testClient, p person, network string) {
				for i := range 8 {
					s.expect(loginFrom(fmt.Sprintf(network, i), p.Email, wrong), 401, "invalid_credentials")
				}
				s.expect(loginFrom(fmt.Sprintf(network, 99), p.Email, password), 429, "too_many_attempts")
			},
			"one address on many accounts": func(_ *testing.T, s *testClient, _ person, network string) {
				for i := range 12 {
					s.expect(loginFrom(fmt.Sprintf(network, 1), fmt.Sprintf("nobody%d@example.org", i), wrong), 401, "invalid_credentials")
				}
				s.expect(loginFrom(fmt.Sprintf(network, 1), "nobody@example.org", wrong), 429, "too_many_attempts")
			},
			"parallel guesses are limited": func(t *testing.T, s *testClient, p person, network string) {
				var all []request
				for range 20 {
					all = append(all, loginFrom(fmt.Sprintf(network, 1), p.Email, wrong))
				}
				if got := servicetest.CountStatuses(s.sendParallel(all...)); got[401] != 3 || got[429] != 17 {
					t.Errorf("statuses are %v, want three 401 and seventeen 429", got)
				}
			},
			"confirming the password counts too": func(_ *testing.T, s *testClient, p person, _ string) {
				deletion := request{Method: "DELETE", Path: "/api/v1/users/me", Token: p.Access, Body: map[string]string{"password": wrong}}
				change := request{Method: "PUT", Path: "/api/v1/users/me/password", Token: p.Access, Body: map[string]string{"current_password": wrong, "new_password": "another good password"}}
				s.expect(deletion, 401, "invalid_credentials")
				s.expect(change, 401, "invalid_credentials")
				s.expect(deletion, 401, "invalid_credentials")
				change.Body = map[string]string{"current_password": password, "new_password": "another good password"}
				s.expect(change, 429, "too_many_attempts")
				s.expect(deletion, 429, "too_many_attempts")
				s.expect(loginFrom("127.0.0.1", p.Email, password), 429, "too_many_attempts")
			},
		} {
			net++
			network := fmt.Sprintf("10.0.%d.%%d", net)
			t.Run(name+" with Redis "+redis, func(t *testing.T) {
				s := s.withT(t)
				test(t, s, s.signUp("Ada"), network)
			})
		}
	}
}

func TestThrottleCountsIPv6ByNetwork(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t, "PGO_CFG_LOGIN__PAIR=3")
	p := s.signUp("Ada")
	for i := range 3 {
		s.expect(loginFrom(fmt.Sprintf("2001:db8::%d", i), p.Email, wrong), 401, "invalid_credentials")
	}
	s.expect(loginFrom("2001:db8::99", p.Email, password), 429, "too_many_attempts")
	s.expect(loginFrom("2001:db8:0:1::1", p.Email, password), 200, "")
}

func TestThrottleIsSharedByInstancesAndExpires(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	environ := []string{"PGO_CFG_LOGIN__PAIR=4", "PGO_CFG_LOGIN__WINDOW=10s"}
	a, b := env.start(t, environ...), env.start(t, environ...)
	p := a.signUp("Ada")
	for _, s := range []*testClient{a, b, a, b} {
		s.expect(loginFrom("10.1.1.1", p.Email, wrong), 401, "invalid_credentials")
	}
	for _, s := range []*testClient{a, b} {
		res := s.expect(loginFrom("10.1.1.1", p.Email, password), 429, "too_many_attempts")
		if after, err := strconv.Atoi(res.Header.Get("Retry-After")); err != nil || after < 1 || after > 10 {
			t.Errorf("Retry-After is %q in a window of 10 s", res.Header.Get("Retry-After"))
		}
	}
	testkit.Eventually(t, "the end of the window", func() error {
		if res := b.send(loginFrom("10.1.1.1", p.Email, password)); res.Status != 200 { // being refused does not prolong it
			return fmt.Errorf("%d", res.Status)
		}
		return nil
	})
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
