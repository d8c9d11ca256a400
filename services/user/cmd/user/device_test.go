package main

import (
	"net/http"
	"testing"
)

// TestDeviceCookie signs in over HTTP and over HTTPS: no script and no other site gets at the cookie.
func TestDeviceCookie(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	p := s.signUp("Ada")
	for proto, isSecure := range map[string]bool{"http": false, "https": true} {
		t.Run(proto, func(t *testing.T) {
			res := s.withT(t).expect(request{
				Method: "POST", Path: "/api/v1/auth/login", Body: map[string]string{"email": p.Email, "password": password}, Header: http.Header{"X-Forwarded-Proto": {proto}},
			}, 200, "")
			cookies := (&http.Response{Header: res.Header}).Cookies()
			if len(cookies) != 1 {
				t.Fatalf("the cookies are %v", cookies)
			}
			c := cookies[0]
			if c.Name != "pgo_device" || c.Value == "" || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Secure != isSecure || c.Path != "/api/v1/auth" {
				t.Errorf("the cookie is %s", c)
			}
		})
	}
}
