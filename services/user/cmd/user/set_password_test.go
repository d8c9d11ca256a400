package main

import "testing"

func TestAdminPassword(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	p := s.signUp("Lost")
	code, stdout, stderr := env.RunCommand(t, "admin", "password", "--email", p.Email)
	if code != 0 {
		t.Fatalf("ends with %d: %s", code, stderr)
	}
	const before = "set the password of %s with password "
	next := stdout[len(before)-len("%s")+len(p.Email) : len(stdout)-1]
	s.awaitRejected("a password set by an operator", p.Access)
	s.expect(request{Method: "POST", Path: "/api/v1/auth/login", Body: map[string]string{"email": p.Email, "password": password}}, 401, "invalid_credentials")
	s.signIn(p, next)
	for name, args := range map[string][]string{
		"unknown address": {"--email", "nobody@example.org"},
		"no address":      {"--email", "nobody"},
		"missing file":    {"--email", p.Email, "--password-file", "/nowhere"},
	} {
		if code, _, stderr := env.RunCommand(t, append([]string{"admin", "password"}, args...)...); code != 1 || stderr == "" {
			t.Errorf("%s: ends with %d: %s", name, code, stderr)
		}
	}
}
