package service

import (
	"context"
	"errors"
	"slices"
	"testing"
)

func TestFailedOpenClosesWhatItOpened(t *testing.T) {
	r, broken, stuck := &Runtime{}, errors.New("broken"), errors.New("stuck")
	var closed []string
	part := func(name string, err error) step {
		return step{name, func(context.Context) error {
			r.onClose(func(ctx context.Context) error {
				if _, bounded := ctx.Deadline(); !bounded {
					t.Errorf("closing the %s is not bounded", name)
				}
				closed = append(closed, name)
				return err
			})
			return nil
		}}
	}
	err := r.openAll(t.Context(), []step{
		part("first", nil), part("second", stuck), {"third", func(context.Context) error { return broken }}, part("fourth", nil),
	})
	if !errors.Is(err, broken) || !errors.Is(err, stuck) || err.Error() != "open the third: broken\nstuck" {
		t.Errorf("got %v", err)
	}
	if !slices.Equal(closed, []string{"second", "first"}) {
		t.Errorf("closed %v, want the second and then the first", closed)
	}
}
