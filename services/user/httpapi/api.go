// Package httpapi serves the User service over HTTP.
package httpapi

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"pgo/pkg/httpx"
	"pgo/services/user"
)

// API handles the requests of the User service.
//
//	@title						User
//	@version					1
//	@description				People, their accounts and their sessions. A page of a list has fewer items than limit where they would exceed 1 MiB: next_cursor is null only on the last page. Errors are problems (RFC 9457) with a stable code. Besides the codes that a call lists, every call may answer 400 malformed_json or malformed_query, 405 method_not_allowed, 413 body_too_large, 415 unsupported_media_type, 422 validation_failed and 503 unavailable.
//	@BasePath					/api/v1
//	@securityDefinitions.apikey	BearerAuth
//	@in							header
//	@name						Authorization
//	@description				The access_token that POST /auth/login gives. Swagger UI takes it bare; in a request the header is: Bearer, a space, and the token.
type API struct {
	users *user.Service
	jwks  []byte
}

// New returns the API of users. jwks is the JSON Web Key Set that verifies their access tokens.
func New(users *user.Service, jwks []byte) *API { return &API{users: users, jwks: jwks} }

// getKeys godoc
//
//	@Summary	Get the keys that verify access tokens
//	@Tags		keys
//	@Produce	json
//	@Success	200	{object}	object	"a JSON Web Key Set (RFC 7517)"
//	@Router		/.well-known/jwks.json [get]
func (a *API) getKeys(c *gin.Context) error {
	if err := httpx.RejectQuery(c); err != nil {
		return err
	}
	c.Header("Cache-Control", "public, max-age=300")
	c.Data(http.StatusOK, "application/jwk-set+json", a.jwks)
	return nil
}
