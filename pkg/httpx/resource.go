package httpx

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"pgo/pkg/etag"
)

// RejectQuery refuses every query parameter, as ReadQuery does, for calls without any.
func RejectQuery(c *gin.Context) error {
	_, err := ReadQuery(c)
	return err
}

// ReadBody is ReadJSON for a call without query parameters: it refuses one before it reads the body.
func ReadBody(c *gin.Context, dst any) error {
	if err := RejectQuery(c); err != nil {
		return err
	}
	return ReadJSON(c, dst)
}

// ReadPathID is ParseID for a call without query parameters: it refuses one before it reads the path.
func ReadPathID(c *gin.Context, name string) (string, error) {
	if err := RejectQuery(c); err != nil {
		return "", err
	}
	return ParseID(c, name)
}

// ReadPathIDs is ReadPathID for a path with two ids.
func ReadPathIDs(c *gin.Context, first, second string) (one, other string, err error) {
	if one, err = ReadPathID(c, first); err != nil {
		return "", "", err
	}
	other, err = ParseID(c, second)
	return one, other, err
}

// WriteResource answers with a resource and the entity tag of its version, or 304 without a body if a GET names that
// version. Shared caches must not store the answer, and the caller's own must revalidate it.
func WriteResource(c *gin.Context, status int, version int64, body any) {
	writeTagged(c, status, etag.Format(version), body)
}

// WriteRevision does what WriteResource does for a resource that also shows what its version does not cover: see
// etag.FormatRevision.
func WriteRevision(c *gin.Context, status int, version, revision int64, body any) {
	writeTagged(c, status, etag.FormatRevision(version, revision), body)
}

func writeTagged(c *gin.Context, status int, tag string, body any) {
	c.Header("ETag", tag)
	c.Header("Cache-Control", "private, no-cache")
	if c.Request.Method == http.MethodGet && etag.IsNotModified(c.Request.Header, tag) {
		c.Status(http.StatusNotModified)
		return
	}
	c.JSON(status, body)
}
