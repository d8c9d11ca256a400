package httpx

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel/trace"

	"pgo/pkg/problem"
)

// statusClientGone stands in the log and the metrics for a caller that left before the answer, as in nginx.
const statusClientGone = 499

// WriteProblem ends the request with err as a problem. If the answer has begun, it cuts the connection off. The error itself
// goes to the log, whole.
func WriteProblem(c *gin.Context, err error) {
	_ = c.Error(err) // kept for the access log; it always returns what it was given
	c.Abort()
	if c.Writer.Written() {
		c.Set(cutOffKey, true) // the status is out, and the answer must not look complete
		return
	}
	switch {
	case errors.Is(err, context.Canceled) && errors.Is(context.Cause(c.Request.Context()), context.Canceled):
		c.Status(statusClientGone)
		c.Writer.WriteHeaderNow()
		return
	case errors.Is(err, context.DeadlineExceeded):
		if _, known := errors.AsType[*problem.Error](err); !known {
			err = problem.Unavailable().WithCause(err)
		}
	}
	p := problem.FromError(err)
	if p.RetryAfter > 0 {
		c.Header("Retry-After", strconv.Itoa(int(math.Ceil(p.RetryAfter.Seconds()))))
	}
	if p.Kind == problem.KindUnauthenticated {
		c.Header("WWW-Authenticate", challengeOf(c, p))
	}
	span := trace.SpanContextFromContext(c.Request.Context())
	body, err := json.Marshal(ProblemBody(p, c.Request.URL.Path, RequestID(c), span.TraceID().String()))
	if err != nil {
		c.Status(http.StatusInternalServerError)
		return
	}
	c.Data(StatusOf(p.Kind), problem.ContentType, body)
}

// challengeOf returns the challenge of a 401 (RFC 9110, section 11.6.1). It names the error, as RFC 6750 asks, only if a token
// was sent and is the reason.
func challengeOf(c *gin.Context, p *problem.Error) string {
	if p.Code == problem.CodeUnauthenticated && c.GetHeader("Authorization") != "" {
		return `Bearer realm="pgo", error="invalid_token"`
	}
	return `Bearer realm="pgo"`
}
