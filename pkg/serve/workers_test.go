package serve_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"pgo/pkg/serve"
)

func TestPeriodic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.WarnLevel)
		ctx, cancel := context.WithCancel(t.Context())
		began, calls := time.Now(), []time.Duration{}
		w := serve.Periodic("sweep", time.Minute, func(context.Context) error {
			if calls = append(calls, time.Since(began)); len(calls) == 3 {
				cancel()
				return context.Canceled // the error of interrupted work, which is not logged
			}
			return errors.New("broken")
		}, zap.New(core))
		if err := w.Run(ctx); err != nil || w.Name != "sweep" {
			t.Errorf("%s ends with %v", w.Name, err)
		}
		for i, at := range calls {
			if at != time.Duration(i)*time.Minute {
				t.Errorf("call %d came after %v", i, at)
			}
		}
		if len(calls) != 3 || logs.Len() != 2 || logs.All()[0].ContextMap()["worker"] != "sweep" {
			t.Errorf("%d calls and the log %v", len(calls), logs.All())
		}
	})
}
