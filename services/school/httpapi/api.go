// Package httpapi serves the School service over HTTP.
package httpapi

import (
	"net/http"
	"net/url"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"pgo/pkg/auth"
	"pgo/pkg/httpx"
	"pgo/pkg/page"
	"pgo/services/school"
)

// API handles the requests of the School service.
//
//	@title						School
//	@version					1
//	@description				Schools, their members and classes, and the invites through which people become members. A page of a list has fewer items than limit where they would exceed 1 MiB: next_cursor is null only on the last page. Errors are problems (RFC 9457) with a stable code. Besides the codes that a call lists, every call may answer 400 malformed_json or malformed_query, 405 method_not_allowed, 413 body_too_large, 415 unsupported_media_type, 422 validation_failed and 503 unavailable.
//	@BasePath					/api/v1
//	@securityDefinitions.apikey	BearerAuth
//	@in							header
//	@name						Authorization
//	@description				The access_token that POST /auth/login gives. Swagger UI takes it bare; in a request the header is: Bearer, a space, and the token.
type API struct {
	schools *school.Service
}

// New returns the API of schools.
func New(schools *school.Service) *API { return &API{schools: schools} }

const platformAdmin = "admin" // the role in an access token

// callerOf returns the person who makes the request.
func callerOf(c *gin.Context) school.Caller {
	p := auth.PrincipalFrom(c)
	return school.Caller{UserID: p.UserID, IsPlatformAdmin: p.Role == platformAdmin}
}

// parseIDPage parses the requested page of a list that is ordered by id.
func parseIDPage(q url.Values) (page.Request[school.IDKey], error) {
	return page.Parse(q, func(k school.IDKey) bool { return uuid.Validate(k.ID) == nil })
}

const maxName = 100 // characters

// parseNamePage parses the requested page of a list of people.
func parseNamePage(q url.Values) (page.Request[school.NameKey], error) {
	return page.Parse(q, func(k school.NameKey) bool {
		return uuid.Validate(k.UserID) == nil && utf8.RuneCountInString(k.Name) <= maxName
	})
}

// writeListByID writes a page of the objects that belong to the object with the path's id. The query may have the filters.
func writeListByID[T any](c *gin.Context, list func(id string, q url.Values, p page.Request[school.IDKey]) (page.Page[T], error), filters ...string) error {
	q, err := httpx.ReadQuery(c, append(filters, "limit", "cursor")...)
	if err != nil {
		return err
	}
	id, err := httpx.ParseID(c, "id")
	if err != nil {
		return err
	}
	p, err := parseIDPage(q)
	if err != nil {
		return err
	}
	items, err := list(id, q, p)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, items)
	return nil
}
