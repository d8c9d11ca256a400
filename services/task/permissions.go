package task

import (
	"context"

	"pgo/pkg/problem"
)

// Permissions holds a task and a person's relation to it, as far as this service knows.
type Permissions struct {
	Task       Task
	Role       string // in the task's class, "" for a person who is not in it
	IsAssigned bool
}

// IsTeacher reports whether the person is a teacher of the task's class, who may do everything with the task.
func (s Permissions) IsTeacher() bool { return s.Role == RoleTeacher }

// IsAssignee reports whether the person has the task as a student of the class. A student who left the class is not an
// assignee, even if they have handed in.
func (s Permissions) IsAssignee() bool {
	return s.Role == RoleStudent && s.IsAssigned && s.Task.Status != StatusDraft
}

// MaySee reports whether the person may know of the task.
func (s Permissions) MaySee() bool { return s.IsTeacher() || s.IsAssignee() }

// requirePermission returns the permissions of a person who satisfies the condition is. It returns not_found if the task does
// not exist or the person may not know of it, and forbidden if the person does not satisfy the condition.
func (s *Service) requirePermission(ctx context.Context, taskID, userID string, is func(Permissions) bool) (Permissions, error) {
	st, err := s.Reader.FindPermissions(ctx, taskID, userID)
	switch {
	case err != nil:
		return st, err
	case !st.MaySee():
		return st, problem.NotFound()
	case !is(st):
		return st, problem.Forbidden()
	}
	return st, nil
}
