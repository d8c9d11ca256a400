package main

import (
	"testing"

	"pgo/pkg/testing/servicetest"
	"pgo/services/task/openapi"
)

func TestCommands(t *testing.T) {
	t.Parallel()
	servicetest.TestCommands(t, program(), servicetest.Commands{
		OpenAPI:             openapi.JSON,
		ExtraEnviron:        map[string]string{"PGO_CFG_AUTH__USER_URL": "http://127.0.0.1:1"},
		ConfigCommands:      [][]string{{"view", "rebuild"}, {"events", "dead", "list"}},
		InvalidCommandLines: [][]string{{"view"}, {"view", "nonsense"}, {"view", "rebuild", "a", "b"}, {"view", "rebuild", "--nonsense"}},
		BadConfigurations: []servicetest.BadConfiguration{
			{Name: "unknown key of a section", Environ: map[string]string{"PGO_CFG_AUTH__SIGNING_KEY": "1"}, Want: "auth.signing_key: expected a known key"},
			{Name: "no issuer", Environ: map[string]string{"PGO_CFG_AUTH__ISSUER": ""}, Want: "auth.issuer: expected a name"},
			{Name: "no audience", Environ: map[string]string{"PGO_CFG_AUTH__AUDIENCE": ""}, Want: "auth.audience: expected a name"},
			{Name: "where User is", Environ: map[string]string{"PGO_CFG_AUTH__USER_URL": "127.0.0.1:8081"}, Want: "auth.user_url: expected a URL"},
			{Name: "where User is, with a path", Environ: map[string]string{"PGO_CFG_AUTH__USER_URL": "http://127.0.0.1:8081/api"}, Want: "auth.user_url: expected a URL"},
			{Name: "unknown key in a file", File: "auth:\n  issuer: pgo\n  isuer: pgo\n", Want: "task.yaml:3: auth.isuer: expected a known key"},
		},
	})
}

func TestReloadChangesLogLevel(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	env.AssertLogLevelReload(t, request{Method: "GET", Path: "/api/v1/tasks", Token: env.issuer.NewToken(newID(), "user")})
}
