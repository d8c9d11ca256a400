package command_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/spf13/cobra"

	"pgo/pkg/command"
	"pgo/pkg/config"
	"pgo/pkg/mq"
	"pgo/pkg/problem"
)

// service returns a service whose check and serve end with err.
func service(err error) command.Service {
	return command.Service{
		Name: "demo", Short: "A demo",
		Migrations: fstest.MapFS{"00001_a.sql": {Data: []byte("-- min_code_schema: 1\n-- +goose Up\nSELECT 1;\n")}, "README": {Data: []byte("x")}},
		Topology:   mq.Topology{Queues: []mq.Queue{{Name: "demo.q", Bindings: []string{"a.b"}}}},
		OpenAPI:    []byte(`{"swagger":"2.0"}`),
		Check:      func() error { return err },
		Serve:      func(context.Context) error { return err },
	}
}

func TestExitCodes(t *testing.T) {
	two := errors.Join(errors.New("one"), errors.New("two"))
	for _, tc := range []struct {
		name   string
		args   []string
		err    error
		code   int
		output string
	}{
		{"serves", nil, nil, 0, ""},
		{"valid configuration", []string{"check"}, nil, 0, ""},
		{"bad configuration", nil, &config.Error{File: "a.yaml", Line: 3, Key: "k", Expected: "expected x"}, 78, "demo: a.yaml:3: k: expected x\n"},
		{"bad configuration, checked", []string{"check"}, &config.Error{File: "a.yaml", Expected: "expected x"}, 78, "demo: a.yaml: expected x\n"},
		{"server down", nil, problem.Unavailable().WithCause(errors.New("refused")), 69, "demo: unavailable: "},
		{"failure", nil, errors.New("broken"), 1, "demo: broken\n"},
		{"two failures are one line", nil, two, 1, "demo: one; two\n"},
		{"unknown command", []string{"nonsense"}, nil, 64, `demo: unknown command "nonsense"` + "\n"},
		{"unknown flag", []string{"--nonsense"}, nil, 64, "demo: unknown flag: --nonsense\n"},
		{"unknown flag of a command", []string{"version", "--nonsense"}, nil, 64, "demo: unknown flag: --nonsense\n"},
		{"too many arguments", []string{"check", "x"}, nil, 64, `demo: unexpected argument "x"` + "\n"},
		{"group alone", []string{"tool"}, nil, 64, "demo: tool needs one of: do\n"},
		{"unknown command of a group", []string{"tool", "x"}, nil, 64, `demo: unknown command "x"` + "\n"},
		{"usage", []string{"tool", "do"}, nil, 64, "demo: wrong use\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := command.New(service(tc.err))
			group := command.NewGroup("tool", "Tools")
			group.AddCommand(&cobra.Command{Use: "do", Args: command.NoArgs, RunE: func(*cobra.Command, []string) error {
				return command.MarkUsage(errors.New("wrong use"))
			}})
			root.AddCommand(group)
			var out, errs bytes.Buffer
			code := command.Run(t.Context(), root, tc.args, &out, &errs)
			if code != tc.code || !strings.HasPrefix(errs.String(), tc.output) || (code == 0) != (errs.Len() == 0) || strings.Count(errs.String(), "\n") > 1 {
				t.Errorf("ends with %d and prints %q; want %d, %q", code, &errs, tc.code, tc.output)
			}
		})
	}
}

func TestDescriptiveCommands(t *testing.T) {
	for _, tc := range []struct {
		args  []string
		check func(out []byte) bool
	}{
		{[]string{"version", "--json"}, func(out []byte) bool {
			var v struct {
				Schema int64 `json:"schema_version"`
			}
			return json.Unmarshal(out, &v) == nil && v.Schema == 1
		}},
		{[]string{"migrations"}, func(out []byte) bool {
			return bytes.Contains(out, []byte("00001_a.sql")) && !bytes.Contains(out, []byte("README"))
		}},
		{[]string{"topology"}, func(out []byte) bool {
			var top mq.Topology
			return json.Unmarshal(out, &top) == nil && len(top.Queues) == 1 && top.Queues[0].Name == "demo.q"
		}},
		{[]string{"openapi"}, func(out []byte) bool { return string(out) == `{"swagger":"2.0"}` }},
		{[]string{"--help"}, func(out []byte) bool { return bytes.Contains(out, []byte("A demo")) }},
	} {
		t.Run(strings.Join(tc.args, " "), func(t *testing.T) {
			var out, errs bytes.Buffer
			if code := command.Run(t.Context(), command.New(service(errors.New("must not serve"))), tc.args, &out, &errs); code != 0 || errs.Len() != 0 || !tc.check(out.Bytes()) {
				t.Errorf("ends with %d, prints %q, writes %q", code, &errs, &out)
			}
		})
	}
}
