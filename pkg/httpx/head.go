package httpx

import "net/http"

// headAsGet has HEAD answered by what answers GET, which RFC 9110 asks of every server. The server leaves the
// body out by itself: it goes by the request that it read.
func headAsGet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			get := *r
			get.Method = http.MethodGet
			r = &get
		}
		next.ServeHTTP(w, r)
	})
}
