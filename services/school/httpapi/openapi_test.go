package httpapi_test

import (
	"testing"

	"github.com/gin-gonic/gin"

	"pgo/pkg/testing/servicetest"
	"pgo/services/school/httpapi"
	"pgo/services/school/openapi"
)

func TestSpecificationMatchesRoutes(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	httpapi.New(nil).Register(e, nil)
	servicetest.ReadSpecification(t, openapi.JSON).AssertRoutes(t, e.Routes())
}
