// Package httpapi serves the Task service over HTTP.
package httpapi

import (
	"net/url"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"pgo/pkg/auth"
	"pgo/pkg/page"
	"pgo/services/task"
)

// API handles the requests of the Task service.
//
//	@title						Task
//	@version					1
//	@description				The tasks that teachers set, the submissions of students, and grades. The members of classes are known from the School service's events, so they may be a moment behind. A page of a list has fewer items than limit where they would exceed 1 MiB: next_cursor is null only on the last page. Errors are problems (RFC 9457) with a stable code. Besides the codes that a call lists, every call may answer 400 malformed_json or malformed_query, 405 method_not_allowed, 413 body_too_large, 415 unsupported_media_type, 422 validation_failed and 503 unavailable.
//	@BasePath					/api/v1
//	@securityDefinitions.apikey	BearerAuth
//	@in							header
//	@name						Authorization
//	@description				The access_token that POST /auth/login gives. Swagger UI takes it bare; in a request the header is: Bearer, a space, and the token.
type API struct {
	tasks *task.Service
}

// New returns the API of tasks.
func New(tasks *task.Service) *API { return &API{tasks: tasks} }

// parseUserPage parses the requested page of a list of assignments or submissions.
func parseUserPage(q url.Values) (page.Request[task.UserKey], error) {
	return page.Parse(q, func(k task.UserKey) bool { return uuid.Validate(k.UserID) == nil })
}

// callerID returns the id of the person who makes the request.
func callerID(c *gin.Context) string { return auth.PrincipalFrom(c).UserID }
