package e2e

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// serveAdmin serves metrics as pgo's services do, on the listener inherited as admin; or misbehaves in the way that mode names.
func serveAdmin(how string) {
	mux := http.NewServeMux()
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, r *http.Request) {
		switch how {
		case "slow":
			<-r.Context().Done()
		case "broken":
			w.WriteHeader(http.StatusInternalServerError)
		case "elsewhere":
			http.Redirect(w, r, "/secret", http.StatusFound)
		case "large":
			for range 17 {
				fmt.Fprint(w, strings.Repeat("# a megabyte of nothing that anybody wants to know\n", 1<<20/50))
			}
		case "half":
			fmt.Fprint(w, "half 1\n")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		default:
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			w.Header().Set("Set-Cookie", "a=b")
			fmt.Fprintf(w, "pid %d\nquery %q\nheaders %d\n", os.Getpid(), r.URL.RawQuery, len(r.Header.Values("Authorization")))
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "secret") })
	server := http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	exitOnError(server.Serve(inheritedListener("admin")))
}
