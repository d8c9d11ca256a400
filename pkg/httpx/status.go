package httpx

import (
	"net/http"

	"pgo/pkg/problem"
)

var statuses = map[problem.Kind]int{
	problem.KindMalformed:          http.StatusBadRequest,
	problem.KindInvalid:            http.StatusUnprocessableEntity,
	problem.KindUnauthenticated:    http.StatusUnauthorized,
	problem.KindForbidden:          http.StatusForbidden,
	problem.KindNotFound:           http.StatusNotFound,
	problem.KindConflict:           http.StatusConflict,
	problem.KindGone:               http.StatusGone,
	problem.KindPreconditionFailed: http.StatusPreconditionFailed,
	problem.KindTooLarge:           http.StatusRequestEntityTooLarge,
	problem.KindUnsupportedMethod:  http.StatusMethodNotAllowed,
	problem.KindUnsupportedType:    http.StatusUnsupportedMediaType,
	problem.KindRateLimited:        http.StatusTooManyRequests,
	problem.KindUnavailable:        http.StatusServiceUnavailable,
}

// StatusOf returns the HTTP status of a problem's kind, and 500 for KindInternal and for a kind that it does not know.
func StatusOf(kind problem.Kind) int {
	if status, ok := statuses[kind]; ok {
		return status
	}
	return http.StatusInternalServerError
}

// ProblemBody returns p as it is sent in answer to a request for instance, the request's path.
func ProblemBody(p *problem.Error, instance, requestID, traceID string) problem.Body {
	status := StatusOf(p.Kind)
	return problem.Body{
		Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: p.Detail,
		Instance: instance, Code: p.Code, RequestID: requestID, TraceID: traceID, Errors: p.Fields,
	}
}
