package deploy

import (
	"context"
	"encoding/json"
	"time"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/requests"
	"pgo/deploy/pgo/internal/supervise"
)

// How processes are asked how many of their requests failed.
const (
	probationInterval = time.Second      // while a release is on probation
	baselineInterval  = 30 * time.Second // else: to know how it was before the next release
	minRequests       = 5                // a share of fewer says nothing
	maxUnread         = 3                // failures in a row until it is shown that the share is unknown
)

// baseline is how many requests failed before a release. The next manager has to know it as well.
type baseline struct {
	Release string  `json:"release"` // the one that came after
	Share   float64 `json:"share"`   // of requests that failed
}

const baselineKey = "errors/" // + name of the process

// MeasureBaselines asks the processes now and then how many requests failed, until ctx ends.
func (d *Deployer) MeasureBaselines(ctx context.Context) {
	ticker := time.NewTicker(baselineInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, p := range d.set.ByName() {
			spec := p.Spec()
			if !spec.Watch.Enabled || !spec.Watch.ErrorRate.Enabled {
				continue
			}
			for _, i := range p.Instances() {
				if k := i.Child(); k != nil {
					k.ObserveRequests(ctx, spec.Watch.ErrorRate)
				}
			}
		}
	}
}

// measureErrorShare measures the share of requests that fail now: of the last minute, or, if that had too few, since the
// processes were started. The channel gets the share once, 0 if it is unknown.
func (t *target) measureErrorShare(ctx context.Context) <-chan float64 {
	share := make(chan float64, 1)
	from := t.process.Spec().Watch.ErrorRate
	if !from.Enabled {
		share <- 0
		return share
	}
	var running []*supervise.Child
	for _, i := range t.process.Instances() {
		if k := i.Child(); k != nil {
			running = append(running, k)
		}
	}
	go func() {
		var ever, lately requests.Totals
		for _, k := range running {
			now, err := k.CountRequests(ctx, from)
			if err != nil {
				continue
			}
			ever, lately = ever.Add(now), lately.Add(now.Sub(k.EarlierRequests()))
		}
		if lately.Requests >= minRequests {
			ever = lately
		}
		share <- ever.ErrorShare()
	}()
	return share
}

// keepBaseline keeps the share for the next manager, and returns it.
func (t *target) keepBaseline(p supervise.Program, share float64) float64 {
	if data, err := json.Marshal(baseline{Release: p.SHA256, Share: share}); err == nil {
		t.deployer.deps.Link.KeepData(baselineKey+t.process.Name, data)
	}
	return share
}

// keptBaseline returns the share of requests that failed before a release, as an earlier manager has kept it; else 0.
func (t *target) keptBaseline(sha256 string) float64 {
	var b baseline
	if json.Unmarshal(t.deployer.deps.Link.Hello.Data[baselineKey+t.process.Name], &b) != nil || b.Release != sha256 {
		return 0
	}
	return b.Share
}

// watchErrorRate checks the failed requests of a release until its probation ends.
func (t *target) watchErrorRate(ctx context.Context, b *probation) {
	ticker := time.NewTicker(probationInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		t.checkErrorRate(ctx, b)
	}
}

// checkErrorRate reports whether a release answers too many requests with errors. If so, it is rolled back; its probation
// begins again if that is impossible.
func (t *target) checkErrorRate(ctx context.Context, b *probation) bool {
	spec := t.process.Spec().Watch
	total := t.countRequests(ctx, b, spec.ErrorRate)
	t.mu.Lock()
	why := total.Sub(b.counted).CheckErrorShare(b.baseline, spec.ErrorRate.MaxIncrease, spec.ErrorRate.MinRequests)
	if ctx.Err() != nil || why == nil {
		t.mu.Unlock()
		return false
	}
	b.timer.Reset(spec.Probation)
	isStuck := b.isStuck
	if isStuck {
		b.counted = total
	}
	t.mu.Unlock()
	// Another deploy that is under way replaces this release anyway.
	if isStuck || b.report(why) || !t.tryLock() {
		return true
	}
	defer t.unlock()
	if ctx.Err() == nil {
		t.rollBackServing(b, why.Error())
	}
	return true
}

// countRequests returns what the ready processes of a release have answered since they were started.
func (t *target) countRequests(ctx context.Context, b *probation, from processfile.ErrorRate) (sum requests.Totals) {
	for _, i := range t.process.Instances() {
		k := i.Child()
		if k == nil || k.Program.SHA256 != b.release.SHA256 || t.instanceState(i).Process.Status != control.Ready {
			continue
		}
		totals, err := k.CountRequests(ctx, from)
		if ctx.Err() == nil {
			t.noteRead(b, err)
		}
		sum = sum.Add(totals)
	}
	return sum
}

// noteRead shows, once, that a release's failed requests cannot be counted.
func (t *target) noteRead(b *probation, err error) {
	t.mu.Lock()
	if b.unread < maxUnread {
		if b.unread++; err == nil {
			b.unread = 0
		}
	} else {
		err = nil // it was shown
	}
	show := err != nil && b.unread == maxUnread
	t.mu.Unlock()
	if show {
		t.announce(nil, "release %s: how many requests fail is not known: %v", b.release, err)
	}
}
