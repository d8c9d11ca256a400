package manager

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/requests"
	"pgo/deploy/pgo/internal/supervise"
)

// How often processes are asked how many of their requests failed.
const (
	errorsOften  = time.Second      // while a release is on probation
	errorsSeldom = 30 * time.Second // else: to know how it was before the next one
	errorsFew    = 5                // requests: a share of fewer says nothing
	errorsUnread = 3                // times in a row that a process did not say
)

// forerunner is how a process did before its release was replaced; the next manager has to know it as well.
type forerunner struct {
	Release string  `json:"release"` // that came after
	Share   float64 `json:"share"`   // of requests that failed
}

const beforeKey = "errors/" // + name

// observe asks the processes now and then, until ctx ends.
func (m *Manager) observe(ctx context.Context) {
	every := time.NewTicker(errorsSeldom)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		for _, p := range m.set.ByName() {
			watch := p.Spec().Watch
			if !watch.Enabled || !watch.ErrorRate.Enabled {
				continue
			}
			for _, i := range p.Instances() {
				if k := i.Child(); k != nil {
					k.ObserveRequests(ctx, watch.ErrorRate)
				}
			}
		}
	}
}

// failing is the share of requests that fail now: of the last minute, or where that had few, since the processes were
// started. The answer comes when they have said it, 0 where they do not.
func (p *target) failing(ctx context.Context) <-chan float64 {
	share := make(chan float64, 1)
	from := p.Spec().Watch.ErrorRate
	if !from.Enabled {
		share <- 0
		return share
	}
	var running []*supervise.Child
	for _, i := range p.Instances() {
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
		if lately.Requests >= errorsFew {
			ever = lately
		}
		share <- ever.ErrorShare()
	}()
	return share
}

// rememberBefore has the next manager know.
func (p *target) rememberBefore(b forerunner) {
	if data, err := json.Marshal(b); err == nil {
		p.Deps.Link.KeepData(beforeKey+p.Name, data)
	}
}

// before is what an earlier manager has left of how it was before this release.
func (p *target) before(release string) float64 {
	var b forerunner
	if json.Unmarshal(p.Deps.Link.Hello.Data[beforeKey+p.Name], &b) != nil || b.Release != release {
		return 0
	}
	return b.Share
}

// count watches over the errors of a release until its probation ends.
func (p *target) count(ctx context.Context, t *trial) {
	every := time.NewTicker(errorsOften)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		p.tooMany(ctx, t)
	}
}

// tooMany tells whether a release answers too many requests with errors. It is left then, and its probation begins
// anew where that cannot be.
func (p *target) tooMany(ctx context.Context, t *trial) bool {
	watch := p.Spec().Watch
	total := p.answeredBy(ctx, t, watch.ErrorRate)
	p.mu.Lock()
	why := total.Sub(t.base).CheckErrorShare(t.before, watch.ErrorRate.MaxIncrease, watch.ErrorRate.MinRequests)
	if ctx.Err() != nil || why == nil {
		p.mu.Unlock()
		return false
	}
	t.timer.Reset(watch.Probation)
	stuck := t.stuck
	if stuck {
		t.base = total
	}
	p.mu.Unlock()
	// Another deployment that is under way ends this release anyway.
	if stuck || t.tell(why) || !p.deploying.TryLock() {
		return true
	}
	defer p.deploying.Unlock()
	if ctx.Err() == nil {
		p.leave(t, why.Error())
	}
	return true
}

// answeredBy is what the processes of a release have answered since they were started.
func (p *target) answeredBy(ctx context.Context, t *trial, from processfile.ErrorRate) (sum requests.Totals) {
	for _, i := range p.Instances() {
		k := i.Child()
		if k == nil || k.Program.SHA256 != t.release.SHA256 || i.Process.Deps.Store.Get(i.ID).Process.Status != control.Ready {
			continue
		}
		c, err := k.CountRequests(ctx, from)
		if ctx.Err() == nil {
			p.unread(t, err)
		}
		sum = sum.Add(c)
	}
	return sum
}

// unread says once that a release's errors cannot be told.
func (p *target) unread(t *trial, err error) {
	p.mu.Lock()
	if t.unread < errorsUnread {
		if t.unread++; err == nil {
			t.unread = 0
		}
	} else {
		err = nil // it was said
	}
	say := err != nil && t.unread == errorsUnread
	p.mu.Unlock()
	if say {
		p.Deps.Store.Announce(p.Name, fmt.Sprintf("release %s: how many requests fail is not known: %v", t.release, err), nil)
	}
}
