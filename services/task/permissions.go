package task

import (
	"context"
	"time"
	_ "time/tzdata" // hosts and containers may lack a time zone database

	"pgo/pkg/problem"
)

// Permissions holds a task and a person's relation to it, as far as this service knows.
type Permissions struct {
	Task       Task
	Role       string // in the task's class, "" for a person who is not in it
	IsAssigned bool
	Timezone   string // of the school, "" while it is not known
	HasOldWork bool   // handed in, and still a member of the class's school
}

// location returns the time zone of the school, UTC while it is not known.
func (p Permissions) location() *time.Location {
	zone, err := time.LoadLocation(p.Timezone) // "" is UTC
	if err != nil || p.Timezone == "Local" {
		return time.UTC
	}
	return zone
}

// IsTeacher reports whether the person is a teacher of the task's class, who may do everything with the task.
func (p Permissions) IsTeacher() bool { return p.Role == RoleTeacher }

// IsAssignee reports whether the person has the task as a student of the class. A student who left the class is not an
// assignee, even if they have handed in, but may read their own work: see MayReadOwnWork.
func (p Permissions) IsAssignee() bool {
	return p.Role == RoleStudent && p.IsAssigned && p.Task.Status != StatusDraft
}

// MayReadOwnWork reports whether the person may read what they have saved for the task. Someone who handed in and then moved
// to another class of the school, or became a teacher, may still read it.
func (p Permissions) MayReadOwnWork() bool { return p.IsAssignee() || p.HasOldWork }

// MaySee reports whether the person may know of the task.
func (p Permissions) MaySee() bool { return p.IsTeacher() || p.MayReadOwnWork() }

// requirePermission returns the permissions of a person who satisfies the condition is. It returns not_found if the task does
// not exist or the person may not know of it, and forbidden if the person does not satisfy the condition.
func (s *Service) requirePermission(ctx context.Context, taskID, userID string, is func(Permissions) bool) (Permissions, error) {
	perms, err := s.Reader.FindPermissions(ctx, taskID, userID)
	switch {
	case err != nil:
		return perms, err
	case !perms.MaySee():
		return perms, problem.NotFound()
	case !is(perms):
		return perms, problem.Forbidden()
	}
	return perms, nil
}
