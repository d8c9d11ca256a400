package main

import "testing"

func TestTheLogLevelChangesWhileRunning(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.AssertLogLevelReload(t, request{Method: "GET", Path: schools, Token: w.person(t).Token})
}
