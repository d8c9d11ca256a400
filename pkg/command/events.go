package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"pgo/pkg/mq"
)

// NewEventsCommand returns the command with which an operator looks after the dead letters of the queues that the service consumes.
// broker says where they are; it is asked when a command needs it.
func NewEventsCommand(t mq.Topology, broker func() (mq.Config, error)) *cobra.Command {
	e := &events{broker: broker}
	for _, q := range t.Queues {
		if !slices.Contains(e.queues, q.Name) {
			e.queues = append(e.queues, q.Name)
		}
	}
	group := NewGroup("events", "Look after events")
	dead := NewGroup("dead", "Look after events that could not be handled")
	dead.AddCommand(e.list(), e.show(), e.settle("replay", "Have dead letters handled again", "replayed", mq.ReplayDeadLetters),
		e.settle("drop", "Remove dead letters for good", "dropped", mq.DropDeadLetters))
	group.AddCommand(dead)
	return group
}

type events struct {
	queues []string
	broker func() (mq.Config, error)
}

// each calls f for the queue that is named, or for all when none is.
func (e *events) each(queue string, f func(mq.Config, string) error) error {
	queues := e.queues
	if queue != "" {
		queue = strings.TrimSuffix(queue, ".dead") // as the broker's own tools show it
		if !slices.Contains(e.queues, queue) {
			return MarkUsage(fmt.Errorf("unknown queue %q: want one of %s", queue, strings.Join(e.queues, ", ")))
		}
		queues = []string{queue}
	}
	cfg, err := e.broker()
	if err != nil {
		return err
	}
	for _, q := range queues {
		if err := f(cfg, q); err != nil {
			return err
		}
	}
	return nil
}

func queueFlag(c *cobra.Command, queue *string) {
	c.Flags().StringVar(queue, "queue", "", "only those of this queue")
}

func (e *events) list() *cobra.Command {
	var queue string
	var asJSON bool
	c := &cobra.Command{Use: "list", Short: "List dead letters", Args: NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		all := []deadView{}
		err := e.each(queue, func(cfg mq.Config, q string) error {
			letters, err := mq.ListDeadLetters(cmd.Context(), cfg, q)
			for _, l := range letters {
				all = append(all, viewOf(l))
			}
			return err
		})
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(cmd.OutOrStdout(), all)
		}
		return writeTable(cmd.OutOrStdout(), all)
	}}
	c.Flags().BoolVar(&asJSON, "json", false, "as one JSON array")
	queueFlag(c, &queue)
	return c
}

func (e *events) show() *cobra.Command {
	var queue string
	c := &cobra.Command{
		Use: "show ID", Short: "Show a dead letter as JSON, with the personal data that it may hold",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return MarkUsage(errors.New("show needs one id"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			found := false
			err := e.each(queue, func(cfg mq.Config, q string) error {
				letters, err := mq.ReadDeadLetters(cmd.Context(), cfg, q, func(l mq.DeadLetter) bool { return l.ID == args[0] })
				for _, l := range letters {
					found = true
					if err := writeJSON(cmd.OutOrStdout(), wholeOf(l)); err != nil {
						return err
					}
				}
				return err
			})
			if err == nil && !found {
				return missing(args)
			}
			return err
		},
	}
	queueFlag(c, &queue)
	return c
}

// settle is replay and drop.
func (e *events) settle(
	name, short, done string, do func(context.Context, mq.Config, string, func(mq.DeadLetter) bool) ([]mq.DeadLetter, error),
) *cobra.Command {
	var queue string
	var all bool
	c := &cobra.Command{
		Use: name + " ID...|--all", Short: short,
		Args: func(_ *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return MarkUsage(fmt.Errorf("%s needs ids or --all", name))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			left := slices.Clone(args)
			err := e.each(queue, func(cfg mq.Config, q string) error {
				letters, err := do(cmd.Context(), cfg, q, func(l mq.DeadLetter) bool { return all || slices.Contains(args, l.ID) })
				for _, l := range letters {
					left = slices.DeleteFunc(left, func(id string) bool { return id == l.ID })
					if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s %s of %s\n", done, l.ID, typeName(l.Event.Type), q); err != nil {
						return err
					}
				}
				return err
			})
			if err == nil && len(left) > 0 {
				return missing(left)
			}
			return err
		},
	}
	c.Flags().BoolVar(&all, "all", false, "all that are there now")
	queueFlag(c, &queue)
	return c
}

func missing(ids []string) error {
	for i := range ids {
		ids[i] = printable(ids[i], 80)
	}
	return fmt.Errorf("no such dead letter: %s", strings.Join(ids, ", "))
}
