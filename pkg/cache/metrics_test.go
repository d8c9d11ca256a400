package cache_test

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"pgo/pkg/cache"
)

func TestPoolMetrics(t *testing.T) {
	c := newCorner(t, nil)
	if _, err := cache.Fetch(context.Background(), c.Cache, c.server.Prefix+"x", func(context.Context) (row, int64, error) { return row{"x"}, 1, nil }); err != nil {
		t.Fatal(err)
	}
	families, err := c.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			got[f.GetName()] += m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	open, most := got["pgo_redis_pool_open_connections"], got["pgo_redis_pool_max_connections"]
	if open < 1 || open > most || got["pgo_redis_pool_timeouts_total"] != 0 {
		t.Errorf("%v", got)
	}
	// All results are there before they happen, so that the first one can be seen.
	if n, err := testutil.GatherAndCount(c.reg, "pgo_cache_reads_total"); err != nil || n != 3 {
		t.Errorf("%d series of reads, %v", n, err)
	}
}
