// Package topology declares the queues that services consume, and repairs queues that a crash of the broker has broken.
//
// RabbitMQ saves the assignment of quorum queues to their logs every half second. If it is killed before that, a new queue
// has no log after the restart and never elects a leader: publishing to it and consuming from it fail (seen with 3.10, always
// for the queue that was declared last). Declare therefore writes the names of new queues to a note in the broker before it
// declares them, and removes the note once they are safe. If it finds a note, it checks the queues in it and re-creates those
// without a leader. This loses nothing: messages of such a queue were lost with its log.
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
	persistTime   = 2 * time.Second  // four times RabbitMQ's interval
	leaderTimeout = 10 * time.Second // an election takes less, also right after a start
	pollInterval  = 500 * time.Millisecond
)

// Declare declares the topologies in r's vhost. It waits persistTime if a queue is new. It returns mq.Declare's errors, a
// *LostError, or an error of the management API.
func Declare(ctx context.Context, r server.RabbitMQ, topologies ...mq.Topology) error {
	d := declarer{management: server.NewManagement(r), vhost: r.Vhost}
	suspects, err := d.readNote(ctx)
	if err != nil {
		return err
	}
	if err := d.removeLost(ctx, suspects); err != nil {
		return err
	}
	names, err := mq.QueueNames(r.AMQPConfig(r.Vhost), topologies...)
	if err != nil {
		return err
	}
	existing, err := d.listQueues(ctx)
	if err != nil {
		return err
	}
	unsafe := slices.DeleteFunc(names, func(name string) bool { return slices.Contains(existing, name) && !slices.Contains(suspects, name) })
	if len(unsafe) > 0 {
		if err := d.writeNote(ctx, unsafe); err != nil {
			return err
		}
	}
	if err := mq.Declare(ctx, r.AMQPConfig(r.Vhost), topologies...); err != nil {
		return err
	}
	if len(unsafe) == 0 && len(suspects) == 0 {
		return nil
	}
	if len(unsafe) > 0 {
		if err := sleepContext(ctx, persistTime); err != nil {
			return fmt.Errorf("wait until new queues are written: %w", err)
		}
	}
	if err := d.verifyLeaders(ctx, unsafe); err != nil {
		return err
	}
	return d.removeNote(ctx)
}

// LostError reports a new queue that has no leader because the broker was killed. The next Declare re-creates it.
type LostError struct{ Queue string }

func (e *LostError) Error() string {
	return fmt.Sprintf("queue %s has no leader: RabbitMQ was killed before it had saved the new queue", e.Queue)
}

type declarer struct {
	management *server.Management
	vhost      string
}

// notePath returns the API path of the note, a global parameter, which RabbitMQ stores with the queues' definitions.
func (d *declarer) notePath() []string {
	return []string{"global-parameters", "pgo_new_queues_" + d.vhost}
}

func (d *declarer) writeNote(ctx context.Context, queues []string) error {
	body := map[string]any{"name": d.notePath()[1], "value": queues}
	if err := d.management.Do(ctx, http.MethodPut, body, nil, d.notePath()...); err != nil {
		return fmt.Errorf("write the note of new queues: %w", err)
	}
	return nil
}

func (d *declarer) readNote(ctx context.Context) ([]string, error) {
	var p struct {
		Value []string `json:"value"`
	}
	if err := d.management.Do(ctx, http.MethodGet, nil, &p, d.notePath()...); err != nil && !server.IsNotFound(err) {
		return nil, fmt.Errorf("read the note of new queues: %w", err)
	}
	return p.Value, nil
}

func (d *declarer) removeNote(ctx context.Context) error {
	if err := d.management.Do(ctx, http.MethodDelete, nil, nil, d.notePath()...); err != nil && !server.IsNotFound(err) {
		return fmt.Errorf("remove the note of new queues: %w", err)
	}
	return nil
}

func (d *declarer) listQueues(ctx context.Context) ([]string, error) {
	var all []struct {
		Name string `json:"name"`
	}
	if err := d.management.Do(ctx, http.MethodGet, nil, &all, "queues", d.vhost); err != nil {
		return nil, fmt.Errorf("list queues: %w", err)
	}
	names := make([]string, len(all))
	for i, q := range all {
		names[i] = q.Name
	}
	return names, nil
}

// removeLost deletes the queues that have no leader.
func (d *declarer) removeLost(ctx context.Context, queues []string) error {
	return forEachQueue(queues, func(name string) error {
		hasLeader, err := d.awaitLeader(ctx, name)
		if err != nil || hasLeader {
			return err
		}
		if err := d.management.Do(ctx, http.MethodDelete, nil, nil, "queues", d.vhost, name); err != nil && !server.IsNotFound(err) {
			return fmt.Errorf("remove queue %s, which has no leader: %w", name, err)
		}
		return nil
	})
}

func (d *declarer) verifyLeaders(ctx context.Context, queues []string) error {
	return forEachQueue(queues, func(name string) error {
		hasLeader, err := d.awaitLeader(ctx, name)
		if err == nil && !hasLeader {
			return &LostError{name}
		}
		return err
	})
}

// forEachQueue calls f for all names concurrently, since a queue without a leader takes the whole leaderTimeout.
func forEachQueue(names []string, f func(name string) error) error {
	var g errgroup.Group
	for _, name := range names {
		g.Go(func() error { return f(name) })
	}
	return g.Wait()
}

// awaitLeader reports whether the queue has a leader. It requests a message, which is requeued, until the queue answers or
// leaderTimeout has passed. A queue without a leader does not answer; a queue without a process returns an error. A queue that
// does not exist counts as one with a leader.
func (d *declarer) awaitLeader(ctx context.Context, name string) (bool, error) {
	pollCtx, cancel := context.WithTimeout(ctx, leaderTimeout)
	defer cancel()
	body := map[string]any{"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto", "truncate": 1}
	for {
		err := d.management.Do(pollCtx, http.MethodPost, body, nil, "queues", d.vhost, name, "get")
		if err == nil || server.IsNotFound(err) {
			return true, nil
		}
		var status *server.StatusError
		isRefused := errors.As(err, &status) && status.Status == http.StatusBadRequest
		if ctx.Err() != nil || !isRefused && pollCtx.Err() == nil {
			return false, fmt.Errorf("check queue %s: %w", name, err)
		}
		if sleepContext(pollCtx, pollInterval) != nil {
			return false, ctx.Err()
		}
	}
}

func sleepContext(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
