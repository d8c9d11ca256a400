package httpapi

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"pgo/services/user/token"
)

// deviceCookie holds the token that makes a browser a known device of the person who signed in last.
const deviceCookie = "pgo_device"

// readDeviceToken returns the device token of the request's body, else that of its cookie, else "".
func readDeviceToken(c *gin.Context, fromBody string) string {
	if fromBody != "" {
		return fromBody
	}
	fromCookie, err := c.Cookie(deviceCookie)
	if err != nil {
		return ""
	}
	return fromCookie
}

// setDeviceCookie stores a device token in the browser. Scripts cannot read it, and no other site can send it.
func setDeviceCookie(c *gin.Context, deviceToken string) {
	http.SetCookie(c.Writer, &http.Cookie{
		Name: deviceCookie, Value: deviceToken, Path: "/api/v1/auth", MaxAge: int(token.DeviceLifetime.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: c.Request.TLS != nil || c.GetHeader("X-Forwarded-Proto") == "https",
	})
}
