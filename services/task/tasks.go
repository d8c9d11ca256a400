package task

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"pgo/pkg/entity"
	"pgo/pkg/page"
	"pgo/pkg/problem"
)

// CreateTask creates a draft, which only the class's teachers see until it is published. It returns validation_failed if a
// value is invalid, not_found if the caller is not in the class, and forbidden if the caller does not teach it.
func (s *Service) CreateTask(ctx context.Context, userID string, n NewTask) (Task, error) {
	n, err := n.normalize()
	if err != nil {
		return Task{}, err
	}
	role, err := s.Reader.FindClassRole(ctx, n.ClassID, userID)
	switch {
	case err != nil:
		return Task{}, err
	case role == "":
		return Task{}, problem.NotFound()
	case role != RoleTeacher:
		return Task{}, problem.Forbidden()
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Task{}, fmt.Errorf("generate task id: %w", err)
	}
	now := s.now()
	t := Task{
		ID: id.String(), ClassID: n.ClassID, Title: n.Title, Description: n.Description, Status: StatusDraft, MaxScore: n.MaxScore, DueAt: n.DueAt,
		Version: 1, CreatedBy: userID, CreatedAt: now, UpdatedAt: now,
	}
	return t, s.Writer.CreateTask(ctx, t)
}

// ListTasks lists the tasks that a person teaches or is assigned, oldest first.
func (s *Service) ListTasks(ctx context.Context, userID string, f TaskFilter, p page.Request[TaskKey]) (page.Page[Summary], error) {
	return s.Reader.ListTasks(ctx, userID, f, p)
}

// GetTask returns a task. It returns not_found unless the person is one of its teachers or assignees.
func (s *Service) GetTask(ctx context.Context, userID, taskID string) (Task, error) {
	perms, err := s.requirePermission(ctx, taskID, userID, Permissions.MaySee)
	return perms.Task, err
}

// UpdateTask changes a task whose version satisfies cond, and returns the task after the change. It returns
// validation_failed if a value is invalid, ErrNotDraft if the maximum score of a published task would change, and the
// errors of changeTask.
func (s *Service) UpdateTask(ctx context.Context, userID, taskID string, p TaskPatch, cond entity.Condition) (Task, error) {
	p, fields := p.normalize()
	if err := problem.Invalid(fields...); err != nil {
		return Task{}, err
	}
	return s.changeTask(ctx, userID, taskID, cond, func(c *TaskChange) error { return c.applyPatch(p, s.now()) })
}

// DeleteTask deletes a draft whose version satisfies cond. It returns ErrNotDraft if the task was published, and the errors of
// changeTask.
func (s *Service) DeleteTask(ctx context.Context, userID, taskID string, cond entity.Condition) error {
	_, err := s.changeTask(ctx, userID, taskID, cond, (*TaskChange).markDeleted)
	return err
}

// PublishTask publishes a draft whose version satisfies cond to the students of its class. Their assignments are created in
// the background. It returns ErrAlreadyPublished unless the task is a draft, and the errors of changeTask.
func (s *Service) PublishTask(ctx context.Context, userID, taskID string, cond entity.Condition) (Task, error) {
	t, err := s.changeTask(ctx, userID, taskID, cond, func(c *TaskChange) error { return c.publish(s.now()) })
	if err == nil {
		s.Wake()
	}
	return t, err
}

// CloseTask ends the submissions of a task whose version satisfies cond. It returns ErrNotPublished if the task is a draft, and
// the errors of changeTask.
func (s *Service) CloseTask(ctx context.Context, userID, taskID string, cond entity.Condition) (Task, error) {
	return s.changeTask(ctx, userID, taskID, cond, func(c *TaskChange) error { return c.close(s.now()) })
}

// changeTask calls fn to change a task. It returns not_found if the caller may not see the task, forbidden if the caller
// is not a teacher of its class, precondition_failed if the task's version does not satisfy cond, and any error of fn.
func (s *Service) changeTask(ctx context.Context, userID, taskID string, cond entity.Condition, fn func(*TaskChange) error) (Task, error) {
	if _, err := s.requirePermission(ctx, taskID, userID, Permissions.IsTeacher); err != nil {
		return Task{}, err
	}
	return s.Writer.ChangeTask(ctx, taskID, func(c *TaskChange) error {
		if err := cond.Check(c.Task.Version); err != nil {
			return err
		}
		return fn(c)
	})
}
