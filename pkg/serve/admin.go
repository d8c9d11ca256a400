package serve

import (
	"encoding/json"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"pgo/pkg/logging"
	"pgo/pkg/metrics"
)

// NewAdminHandler returns the handler of the admin listener: /metrics, /debug/pprof/, /loglevel (GET, PUT) and
// /config, each key of the configuration with its value and state, secrets masked. The gateway never publishes it.
func NewAdminHandler(reg *prometheus.Registry, log *logging.Logger, current func() any) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics.Handler(reg))
	mux.Handle("/loglevel", log.LevelHandler())
	mux.HandleFunc("GET /config", func(w http.ResponseWriter, _ *http.Request) {
		text, err := json.MarshalIndent(current(), "", "  ")
		if err != nil {
			log.Error("encode the configuration", zap.Error(err))
			http.Error(w, "the configuration cannot be shown", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(text) // the caller has gone: no one reads the error
	})
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}
