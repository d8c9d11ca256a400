// Package auth tells who makes a request: it verifies access tokens, follows revoked sessions and checks
// roles.
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

// Claims is the content of an access token.
type Claims struct {
	jwt.RegisteredClaims
	SessionID string `json:"sid"`
	Role      string `json:"role"`
}

// Principal is who makes a request.
type Principal struct {
	UserID    string
	SessionID string
	Role      string
	expires   time.Time
}

const principalKey = "pgo.principal"

// RequireToken lets a request pass when its Authorization header carries a good bearer token; else it is 401.
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

// RequireRole lets a request pass when its principal has the role; else it is 403. It stands after Required.
func RequireRole(role string) gin.HandlerFunc {
	return func(c *gin.Context) {
		if PrincipalFrom(c).Role != role {
			httpx.WriteProblem(c, problem.Forbidden())
			return
		}
		c.Next()
	}
}

// PrincipalFrom returns the request's principal, the zero one where Required did not stand before.
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
