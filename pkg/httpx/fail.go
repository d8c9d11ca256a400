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

// statusClientGone is what the log and the metrics say when the caller left before the answer, as nginx does.
const statusClientGone = 499

// WriteProblem ends the request with err as a problem; where the answer has begun, the connection is cut off. The error
// itself goes to the log, whole.
func WriteProblem(c *gin.Context, err error) {
	_ = c.Error(err) // kept for the access log; it always returns what it was given
	c.Abort()
	if c.Writer.Written() {
		c.Set(cutOffKey, true) // the status is out: an answer that ends as if it were whole would be a lie
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
