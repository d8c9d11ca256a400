package httpapi_test

import (
	"testing"

	"github.com/gin-gonic/gin"

	"pgo/pkg/auth"
	"pgo/pkg/testing/servicetest"
	"pgo/services/user/httpapi"
	"pgo/services/user/openapi"
)

func TestSpecificationMatchesRoutes(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	httpapi.New(nil, nil).Register(e, nil)
	servicetest.ReadSpecification(t, openapi.JSON).AssertRoutes(t, e.Routes(), auth.KeysPath)
}
