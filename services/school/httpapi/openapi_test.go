package httpapi_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"pgo/services/school/httpapi"
	"pgo/services/school/openapi"
)

// TestTheSpecificationHasTheRoutesOfTheRouter compares both ways: nothing is undocumented, nothing is made up.
func TestTheSpecificationHasTheRoutesOfTheRouter(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	httpapi.New(nil).Register(e, nil)
	parameter := regexp.MustCompile(`:(\w+)`)
	var served, documented []string
	for _, r := range e.Routes() {
		path, versioned := strings.CutPrefix(r.Path, "/api/v1")
		if !versioned {
			t.Errorf("%s is outside the API", r.Path)
		}
		served = append(served, r.Method+" "+parameter.ReplaceAllString(path, "{$1}"))
	}
	var spec struct {
		BasePath string
		Paths    map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(openapi.JSON, &spec); err != nil {
		t.Fatal(err)
	}
	for path, methods := range spec.Paths {
		for method := range methods {
			documented = append(documented, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(served)
	slices.Sort(documented)
	if spec.BasePath != "/api/v1" || !slices.Equal(served, documented) {
		t.Errorf("under %s the specification has\n%s\nand the router\n%s", spec.BasePath, strings.Join(documented, "\n"), strings.Join(served, "\n"))
	}
}
