package task

import (
	"context"

	"pgo/pkg/problem"
)

// Permissions is a task and what somebody has to do with it, as far as this service knows.
type Permissions struct {
	Task       Task
	Role       string // in the task's class, "" for somebody who is not in it
	IsAssigned bool
}

// IsTeacher reports somebody who may do everything with the task.
func (s Permissions) IsTeacher() bool { return s.Role == RoleTeacher }

// IsAssignee reports an assignee. Who left the class is none, also if they have handed in.
func (s Permissions) IsAssignee() bool {
	return s.Role == RoleStudent && s.IsAssigned && s.Task.Status != StatusDraft
}

// MaySee reports somebody who may know of the task.
func (s Permissions) MaySee() bool { return s.IsTeacher() || s.IsAssignee() }

// requirePermission finds the task for somebody who must be what is says. Who may not know of it gets not_found, who may know
// and is something else gets forbidden.
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
