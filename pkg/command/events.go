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

// NewEventsCommand returns the commands with which an operator manages the dead letters of the queues that the service
// consumes. broker is called when a command needs the broker.
func NewEventsCommand(t mq.Topology, broker func() (mq.Config, error)) *cobra.Command {
	e := &eventsCommand{broker: broker}
	for _, q := range t.Queues {
		if !slices.Contains(e.queues, q.Name) {
			e.queues = append(e.queues, q.Name)
		}
	}
	group := NewGroup("events", "Manage events")
	dead := NewGroup("dead", "Manage events that could not be handled")
	dead.AddCommand(e.newListCommand(), e.newShowCommand(),
		e.newRemovalCommand("replay", "Handle dead letters again", "replayed", mq.ReplayDeadLetters),
		e.newRemovalCommand("drop", "Delete dead letters", "dropped", mq.DropDeadLetters))
	group.AddCommand(dead)
	return group
}

type eventsCommand struct {
	queues []string
	broker func() (mq.Config, error)
}

// forEachQueue calls f for the named queue, and for all of the service's queues when the name is empty.
func (e *eventsCommand) forEachQueue(name string, f func(mq.Config, string) error) error {
	queues := e.queues
	if name != "" {
		name = strings.TrimSuffix(name, ".dead") // as the broker's own tools show it
		if !slices.Contains(e.queues, name) {
			return MarkUsage(fmt.Errorf("unknown queue %q: want one of %s", name, strings.Join(e.queues, ", ")))
		}
		queues = []string{name}
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

func addQueueFlag(c *cobra.Command, queue *string) {
	c.Flags().StringVar(queue, "queue", "", "use only the dead letters of this queue")
}

func (e *eventsCommand) newListCommand() *cobra.Command {
	var queue string
	var asJSON bool
	c := &cobra.Command{Use: "list", Short: "List dead letters", Args: NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		all := []deadLetterSummary{}
		err := e.forEachQueue(queue, func(cfg mq.Config, q string) error {
			letters, err := mq.ListDeadLetters(cmd.Context(), cfg, q)
			for _, l := range letters {
				all = append(all, summarize(l))
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
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON array")
	addQueueFlag(c, &queue)
	return c
}

func (e *eventsCommand) newShowCommand() *cobra.Command {
	var queue string
	c := &cobra.Command{
		Use: "show ID", Short: "Show a dead letter as JSON, with the personal data that it may hold", Args: ExactArgs("id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			found := false
			err := e.forEachQueue(queue, func(cfg mq.Config, q string) error {
				letters, err := mq.ReadDeadLetters(cmd.Context(), cfg, q, func(l mq.DeadLetter) bool { return l.ID == args[0] })
				for _, l := range letters {
					found = true
					if err := writeJSON(cmd.OutOrStdout(), newDeadLetterDetail(l)); err != nil {
						return err
					}
				}
				return err
			})
			if err == nil && !found {
				return notFoundError(args)
			}
			return err
		},
	}
	addQueueFlag(c, &queue)
	return c
}

// removalFunc takes the chosen dead letters of a queue away and returns them.
type removalFunc func(ctx context.Context, cfg mq.Config, queue string, chosen func(mq.DeadLetter) bool) ([]mq.DeadLetter, error)

// newRemovalCommand returns replay or drop: a command that takes the named dead letters, or all, out of the dead letters.
// done is the word that it prints for each.
func (e *eventsCommand) newRemovalCommand(name, short, done string, remove removalFunc) *cobra.Command {
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
			err := e.forEachQueue(queue, func(cfg mq.Config, q string) error {
				letters, err := remove(cmd.Context(), cfg, q, func(l mq.DeadLetter) bool { return all || slices.Contains(args, l.ID) })
				for _, l := range letters {
					left = slices.DeleteFunc(left, func(id string) bool { return id == l.ID })
					if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s %s of %s\n", done, l.ID, describeType(l.Event.Type), q); err != nil {
						return err
					}
				}
				return err
			})
			if err == nil && len(left) > 0 {
				return notFoundError(left)
			}
			return err
		},
	}
	c.Flags().BoolVar(&all, "all", false, "use every dead letter that is there now")
	addQueueFlag(c, &queue)
	return c
}

func notFoundError(ids []string) error {
	shown := make([]string, len(ids))
	for i, id := range ids {
		shown[i] = toPrintable(id, 80)
	}
	return errors.New("no such dead letter: " + strings.Join(shown, ", "))
}
