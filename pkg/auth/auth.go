// Package auth authenticates and authorizes requests: it verifies access tokens, follows the list of ended sessions and
// checks roles.
package auth

import (
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/golang-jwt/jwt/v5"

	"pgo/pkg/httpx"
	"pgo/pkg/problem"
)

// Claims are the content of an access token.
type Claims struct {
	jwt.RegisteredClaims
	SessionID string `json:"sid"`
	Role      string `json:"role"`
}

// Principal identifies the caller of a request.
type Principal struct {
	UserID    string
	SessionID string
	Role      string
	expires   time.Time
}

const principalKey = "pgo.principal"

// RequireToken lets a request pass if its Authorization header carries a valid bearer token; otherwise it answers 401.
func RequireToken(v *Verifier) gin.HandlerFunc {
	return func(c *gin.Context) {
		p, err := v.verifyHeader(c.Request.Header)
		if err != nil {
			httpx.WriteProblem(c, err)
			return
		}
		httpx.SetUserID(c, p.UserID)
		c.Set(principalKey, p)
		c.Next()
	}
}

// RequireRole lets a request pass if its principal has the role; otherwise it answers 403. It must come after RequireToken.
func RequireRole(role string) gin.HandlerFunc {
	return func(c *gin.Context) {
		if PrincipalFrom(c).Role != role {
			httpx.WriteProblem(c, problem.Forbidden())
			return
		}
		c.Next()
	}
}

// PrincipalFrom returns the request's principal, and the zero Principal unless RequireToken came before.
func PrincipalFrom(c *gin.Context) Principal {
	p, _ := c.Value(principalKey).(Principal)
	return p
}

func (v *Verifier) verifyHeader(h http.Header) (Principal, error) {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return Principal{}, problem.Unauthenticated("Send one Authorization header with a bearer token.")
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return Principal{}, problem.Unauthenticated("The Authorization header must be: Bearer <access token>.")
	}
	return v.Verify(strings.TrimSpace(token))
}
