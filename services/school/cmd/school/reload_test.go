package main

import "testing"

func TestReloadChangesLogLevel(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	env.AssertLogLevelReload(t, request{Method: "GET", Path: schools, Token: env.person(t).Token})
}
