package servicetest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
)

const basePath = "/api/v1"

// Specification is a service's specification of its API (OpenAPI 2).
type Specification struct {
	BasePath string
	Paths    map[string]map[string]Operation // by path and then method in lower case
}

// Operation is a specification's description of a call.
type Operation struct {
	Security  []map[string][]string
	Responses map[string]struct {
		Schema json.RawMessage
	}
	Parameters []struct{ Name, In string }
}

// ReadSpecification reads a specification.
func ReadSpecification(t testing.TB, text []byte) Specification {
	t.Helper()
	var s Specification
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

var pathParameter = regexp.MustCompile(`:(\w+)`)

// AssertRoutes fails the test unless the specification has exactly the routes under /api/v1, and no route outside it except
// those that are named.
func (s Specification) AssertRoutes(t testing.TB, routes gin.RoutesInfo, outside ...string) {
	t.Helper()
	var served, documented []string
	for _, r := range routes {
		path, inside := strings.CutPrefix(r.Path, basePath)
		switch {
		case inside:
			served = append(served, r.Method+" "+pathParameter.ReplaceAllString(path, "{$1}"))
		case !slices.Contains(outside, r.Path):
			t.Errorf("%s is outside the API", r.Path)
		}
	}
	for path, methods := range s.Paths {
		for method := range methods {
			documented = append(documented, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(served)
	slices.Sort(documented)
	if s.BasePath != basePath || !slices.Equal(served, documented) {
		t.Errorf("under %s the specification has\n%s\nand the router\n%s", s.BasePath, strings.Join(documented, "\n"), strings.Join(served, "\n"))
	}
}

// Call is a test's description of a call, which the specification must match.
type Call struct {
	Method, Path string       // with {id} where an id stands
	Statuses     map[int]bool // the statuses that it may answer with
	Public       bool         // needs no token
	Body, List   bool
	Filters      []string // query parameters beside those of a list
}

// AssertCall fails the test unless the specification matches the call. A call that may answer 412 has If-Match, one that may
// answer 304 If-None-Match. It returns the operation.
func (s Specification) AssertCall(t testing.TB, c Call) Operation {
	t.Helper()
	operation, ok := s.Paths[strings.TrimPrefix(c.Path, basePath)][strings.ToLower(c.Method)]
	if !ok {
		t.Fatalf("%s %s is not there", c.Method, c.Path)
	}
	for status, may := range c.Statuses {
		if _, has := operation.Responses[fmt.Sprint(status)]; may && !has {
			t.Errorf("does not have %d", status)
		}
	}
	for status, response := range operation.Responses {
		if status >= "400" && !strings.Contains(string(response.Schema), "problem.Body") {
			t.Errorf("%s is not a problem: %s", status, response.Schema)
		}
	}
	if c.Public != (len(operation.Security) == 0) {
		t.Errorf("security is %v", operation.Security)
	}
	in := map[string]string{}
	for _, p := range operation.Parameters {
		in[p.Name] = p.In
	}
	if (in["body"] == "body") != c.Body || (in["If-Match"] == "header") != c.Statuses[412] || (in["If-None-Match"] == "header") != c.Statuses[304] || (in["limit"] == "query") != c.List {
		t.Errorf("parameters are %v", in)
	}
	for _, f := range c.Filters {
		if in[f] != "query" {
			t.Errorf("lacks the parameter %s", f)
		}
	}
	return operation
}
