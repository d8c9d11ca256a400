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
	if p.Kind == problem.KindUnauthenticated && p.Code == problem.CodeUnauthenticated {
		c.Header("WWW-Authenticate", `Bearer realm="pgo"`)
	}
	span := trace.SpanContextFromContext(c.Request.Context())
	body, err := json.Marshal(ProblemBody(p, c.Request.URL.Path, RequestID(c), span.TraceID().String()))
	if err != nil {
		c.Status(http.StatusInternalServerError)
		return
	}
	c.Data(StatusOf(p.Kind), problem.ContentType, body)
}
