package view

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// Repairer compares and repairs one school or class at a time with its row locked, so that events can be applied meanwhile.
type Repairer interface {
	// ListSchoolIDs and ListClassIDs return ids after the given one of objects that are not deleted, in order.
	ListSchoolIDs(ctx context.Context, after string) ([]string, error)
	ListClassIDs(ctx context.Context, after string) ([]string, error)
	// RepairSchool changes a school to the state want, nil if School does not have it, and returns the differences.
	RepairSchool(ctx context.Context, id string, want *SchoolState, dryRun bool) ([]Difference, error)
	// RepairClass does the same for a class, and updates the assignments of its students.
	RepairClass(ctx context.Context, id string, want *ClassState, dryRun bool) ([]Difference, error)
}

// Rebuild changes the view to the state of the export and reports each difference. What the view knows from later events
// is kept. A second run continues where an interrupted one ended.
func Rebuild(ctx context.Context, r Repairer, e *Export, dryRun bool, report func(Difference) error) error {
	for _, id := range slices.Sorted(maps.Keys(e.Schools)) {
		diffs, err := r.RepairSchool(ctx, id, e.Schools[id], dryRun)
		if err := reportAll(diffs, err, report); err != nil {
			return fmt.Errorf("school %s: %w", id, err)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(e.Classes)) {
		diffs, err := r.RepairClass(ctx, id, e.Classes[id], dryRun)
		if err := reportAll(diffs, err, report); err != nil {
			return fmt.Errorf("class %s: %w", id, err)
		}
	}
	err := forEachID(ctx, r.ListClassIDs, func(id string) error {
		if e.Classes[id] != nil || CreatedAfter(id, e.TakenAt) {
			return nil
		}
		diffs, err := r.RepairClass(ctx, id, nil, dryRun)
		return reportAll(diffs, err, report)
	})
	if err != nil {
		return fmt.Errorf("classes that School does not have: %w", err)
	}
	err = forEachID(ctx, r.ListSchoolIDs, func(id string) error {
		if e.Schools[id] != nil || CreatedAfter(id, e.TakenAt) {
			return nil
		}
		diffs, err := r.RepairSchool(ctx, id, nil, dryRun)
		return reportAll(diffs, err, report)
	})
	if err != nil {
		return fmt.Errorf("schools that School does not have: %w", err)
	}
	return nil
}

// reportAll reports the differences unless err is not nil.
func reportAll(diffs []Difference, err error, report func(Difference) error) error {
	if err != nil {
		return err
	}
	for _, d := range diffs {
		if err := report(d); err != nil {
			return err
		}
	}
	return nil
}

// forEachID calls f with each id that list returns, page by page.
func forEachID(ctx context.Context, list func(ctx context.Context, after string) ([]string, error), f func(id string) error) error {
	after := ""
	for {
		ids, err := list(ctx, after)
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			if err := f(id); err != nil {
				return err
			}
		}
		after = ids[len(ids)-1]
	}
}
