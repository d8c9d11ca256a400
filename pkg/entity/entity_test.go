package entity_test

import (
	"errors"
	"fmt"
	"testing"

	"pgo/pkg/entity"
	"pgo/pkg/problem"
)

func TestConditionCheck(t *testing.T) {
	for name, tc := range map[string]struct {
		condition entity.Condition
		set       bool
		holds     bool // for version 7
	}{
		"zero":             {entity.Condition{}, false, true},
		"any version":      {entity.AnyVersion(), true, true},
		"this version":     {entity.VersionIn(7), true, true},
		"one of several":   {entity.VersionIn(6, 7), true, true},
		"another version":  {entity.VersionIn(8), true, false},
		"no version":       {entity.VersionIn(), true, false},
		"negative version": {entity.VersionIn(-7), true, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tc.condition.IsSet(); got != tc.set {
				t.Errorf("IsSet is %v, want %v", got, tc.set)
			}
			err := tc.condition.Check(7)
			if tc.holds && err != nil || !tc.holds && !errors.Is(err, problem.PreconditionFailed()) {
				t.Errorf("Check returned %v, want it to hold: %v", err, tc.holds)
			}
		})
	}
}

func TestVersionInCopiesItsVersions(t *testing.T) {
	versions := []int64{7}
	c := entity.VersionIn(versions...)
	versions[0] = 8
	if err := c.Check(7); err != nil {
		t.Errorf("the condition changed with the caller's slice: %v", err)
	}
}

func ExampleCondition_Check() {
	readAt := entity.VersionIn(3)
	fmt.Println(readAt.Check(3))
	fmt.Println(readAt.Check(4))
	// Output:
	// <nil>
	// precondition_failed: The resource has changed since you read it. Read it again.
}
