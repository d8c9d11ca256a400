package serve

import "net/http"

// headAsGet answers HEAD with the handler of GET, as RFC 9110 asks of every server. The server itself leaves the body out: it
// goes by the request that it read.
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
