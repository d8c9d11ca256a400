// Package topology declares what the services consume, so that it is still there when the broker dies over it.
//
// RabbitMQ keeps which quorum queue has which log in a file that it saves every half second. Killed before that, it comes
// back with a queue that has no log and never finds a leader: nobody can publish to it or consume from it (seen with 3.10;
// always the queue that was declared last). So names of new queues are noted in the broker before they are declared and the
// note is removed once they are safe. A note that is found means that a queue may be one of those; it is asked, and one that
// does not answer is made anew. This loses nothing: what the queue held, if anything, went with its log.
package topology

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"pgo/bootcheck/server"
	"pgo/pkg/mq"
)

const (
	settleTime   = 2 * time.Second  // four times what RabbitMQ takes
	answerWithin = 10 * time.Second // a leader is elected in less, right after a start too
	askEvery     = 500 * time.Millisecond
)

// Declare makes the topologies in r's vhost. It takes settleTime longer when a queue is new.
// Errors: those of mq.Declare; *LostError; an error of the management API.
func Declare(ctx context.Context, r server.RabbitMQ, topologies ...mq.Topology) error {
	d := declarer{m: server.NewManagement(r), vhost: r.Vhost}
	noted, err := d.noted(ctx)
	if err != nil {
		return err
	}
	if err := d.removeLost(ctx, noted); err != nil {
		return err
	}
	names, err := mq.QueueNames(r.MQ(r.Vhost), topologies...)
	if err != nil {
		return err
	}
	there, err := d.queues(ctx)
	if err != nil {
		return err
	}
	unsafe := slices.DeleteFunc(names, func(name string) bool { return slices.Contains(there, name) && !slices.Contains(noted, name) })
	if len(unsafe) > 0 {
		if err := d.note(ctx, unsafe); err != nil {
			return err
		}
	}
	if err := mq.Declare(ctx, r.MQ(r.Vhost), topologies...); err != nil {
		return err
	}
	if len(unsafe) == 0 && len(noted) == 0 {
		return nil
	}
	if len(unsafe) > 0 {
		if err := pause(ctx, settleTime); err != nil {
			return fmt.Errorf("wait until new queues are written: %w", err)
		}
	}
	if err := d.haveLeaders(ctx, unsafe); err != nil {
		return err
	}
	return d.forget(ctx)
}

// LostError says that the broker was killed over a queue that was new. The next Declare makes it anew.
type LostError struct{ Queue string }

func (e *LostError) Error() string {
	return fmt.Sprintf("queue %s has no leader: RabbitMQ was killed before it had written the new queue down", e.Queue)
}

type declarer struct {
	m     *server.Management
	vhost string
}

// parameter is where the note is kept: a global parameter, which RabbitMQ stores with the queues' definitions.
func (d *declarer) parameter() []string {
	return []string{"global-parameters", "pgo_new_queues_" + d.vhost}
}

func (d *declarer) note(ctx context.Context, queues []string) error {
	body := map[string]any{"name": d.parameter()[1], "value": queues}
	if err := d.m.Do(ctx, http.MethodPut, body, nil, d.parameter()...); err != nil {
		return fmt.Errorf("note new queues: %w", err)
	}
	return nil
}

func (d *declarer) noted(ctx context.Context) ([]string, error) {
	var p struct {
		Value []string `json:"value"`
	}
	if err := d.m.Do(ctx, http.MethodGet, nil, &p, d.parameter()...); err != nil && !server.IsNotFound(err) {
		return nil, fmt.Errorf("read the note of new queues: %w", err)
	}
	return p.Value, nil
}

func (d *declarer) forget(ctx context.Context) error {
	if err := d.m.Do(ctx, http.MethodDelete, nil, nil, d.parameter()...); err != nil && !server.IsNotFound(err) {
		return fmt.Errorf("remove the note of new queues: %w", err)
	}
	return nil
}

func (d *declarer) queues(ctx context.Context) ([]string, error) {
	var all []struct {
		Name string `json:"name"`
	}
	if err := d.m.Do(ctx, http.MethodGet, nil, &all, "queues", d.vhost); err != nil {
		return nil, fmt.Errorf("list queues: %w", err)
	}
	names := make([]string, len(all))
	for i, q := range all {
		names[i] = q.Name
	}
	return names, nil
}

// removeLost removes those of the queues that have no leader.
func (d *declarer) removeLost(ctx context.Context, queues []string) error {
	return each(queues, func(name string) error {
		led, err := d.answers(ctx, name)
		if err != nil || led {
			return err
		}
		if err := d.m.Do(ctx, http.MethodDelete, nil, nil, "queues", d.vhost, name); err != nil && !server.IsNotFound(err) {
			return fmt.Errorf("remove queue %s, which has no leader: %w", name, err)
		}
		return nil
	})
}

func (d *declarer) haveLeaders(ctx context.Context, queues []string) error {
	return each(queues, func(name string) error {
		led, err := d.answers(ctx, name)
		if err == nil && !led {
			return &LostError{name}
		}
		return err
	})
}

// each calls f for all names at once, since a queue without a leader takes as long as one is ready to wait.
func each(names []string, f func(name string) error) error {
	var g errgroup.Group
	for _, name := range names {
		g.Go(func() error { return f(name) })
	}
	return g.Wait()
}

// answers says whether the queue can be used: it is asked for a message until it answers or answerWithin has passed. One
// without a leader says nothing, one without a process is an error. A queue that is not there counts as one that answers.
// Should there be a message, it goes back where it was.
func (d *declarer) answers(ctx context.Context, name string) (bool, error) {
	asking, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	body := map[string]any{"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto", "truncate": 1}
	for {
		err := d.m.Do(asking, http.MethodPost, body, nil, "queues", d.vhost, name, "get")
		if err == nil || server.IsNotFound(err) {
			return true, nil
		}
		var said *server.StatusError
		refused := errors.As(err, &said) && said.Status == http.StatusBadRequest
		if ctx.Err() != nil || !refused && asking.Err() == nil {
			return false, fmt.Errorf("ask queue %s: %w", name, err)
		}
		if pause(asking, askEvery) != nil {
			return false, ctx.Err()
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
