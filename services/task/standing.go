package task

import (
	"context"

	"pgo/pkg/problem"
)

// Standing is a task and what somebody has to do with it, as far as this service knows.
type Standing struct {
	Task     Task
	Role     string // in the task's class, "" for somebody who is not in it
	Assigned bool
}

// Teaches reports somebody who may do everything with the task.
func (s Standing) Teaches() bool { return s.Role == RoleTeacher }

// Studies reports an assignee. Who left the class is none, also if they have handed in.
func (s Standing) Studies() bool {
	return s.Role == RoleStudent && s.Assigned && s.Task.Status != StatusDraft
}

// Sees reports somebody who may know of the task.
func (s Standing) Sees() bool { return s.Teaches() || s.Studies() }

// require finds the task for somebody who must be what is says. Who may not know of it gets not_found, who may know
// and is something else gets forbidden.
func (s *Service) require(ctx context.Context, taskID, userID string, is func(Standing) bool) (Standing, error) {
	st, err := s.Reader.Standing(ctx, taskID, userID)
	switch {
	case err != nil:
		return st, err
	case !st.Sees():
		return st, problem.NotFound()
	case !is(st):
		return st, problem.Forbidden()
	}
	return st, nil
}
