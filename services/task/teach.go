package task

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"pgo/pkg/entity"
	"pgo/pkg/page"
	"pgo/pkg/problem"
)

// CreateTask sets a task, which nobody but the class's teachers sees until it is published. validation_failed;
// not_found for who is not in the class; forbidden for who does not teach it.
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
		return Task{}, fmt.Errorf("make task id: %w", err)
	}
	now := s.now()
	t := Task{
		ID: id.String(), ClassID: n.ClassID, Title: n.Title, Description: n.Description, Status: StatusDraft, MaxScore: n.MaxScore, DueAt: n.DueAt,
		Version: 1, CreatedBy: userID, CreatedAt: now, UpdatedAt: now,
	}
	return t, s.Writer.CreateTask(ctx, t)
}

// ListTasks returns what somebody teaches or is assigned, oldest first.
func (s *Service) ListTasks(ctx context.Context, userID string, f TaskFilter, p page.Request[TaskKey]) (page.Page[Task], error) {
	return s.Reader.ListTasks(ctx, userID, f, p)
}

// GetTask returns a task to its teachers and assignees. not_found.
func (s *Service) GetTask(ctx context.Context, userID, taskID string) (Task, error) {
	st, err := s.requirePermission(ctx, taskID, userID, Permissions.MaySee)
	return st.Task, err
}

// UpdateTask changes a task whose version satisfies the condition. validation_failed, not_found, forbidden,
// precondition_failed, ErrNotDraft.
func (s *Service) UpdateTask(ctx context.Context, userID, taskID string, p TaskPatch, cond entity.Condition) (Task, error) {
	p, fields := p.normalize()
	if err := problem.Invalid(fields...); err != nil {
		return Task{}, err
	}
	return s.changeTask(ctx, userID, taskID, cond, func(d *TaskChange) error { return d.applyPatch(p, s.now()) })
}

// DeleteTask removes a draft. not_found, forbidden, precondition_failed, ErrNotDraft.
func (s *Service) DeleteTask(ctx context.Context, userID, taskID string, cond entity.Condition) error {
	_, err := s.changeTask(ctx, userID, taskID, cond, (*TaskChange).markDeleted)
	return err
}

// PublishTask shows a draft to the students of its class. Their assignments are made in the background. not_found,
// forbidden, precondition_failed, ErrAlreadyPublished.
func (s *Service) PublishTask(ctx context.Context, userID, taskID string, cond entity.Condition) (Task, error) {
	t, err := s.changeTask(ctx, userID, taskID, cond, func(d *TaskChange) error { return d.publish(s.now()) })
	if err == nil {
		s.Wake()
	}
	return t, err
}

// CloseTask ends submissions. not_found, forbidden, precondition_failed, ErrNotPublished.
func (s *Service) CloseTask(ctx context.Context, userID, taskID string, cond entity.Condition) (Task, error) {
	return s.changeTask(ctx, userID, taskID, cond, func(d *TaskChange) error { return d.close(s.now()) })
}

func (s *Service) changeTask(ctx context.Context, userID, taskID string, cond entity.Condition, fn func(*TaskChange) error) (Task, error) {
	if _, err := s.requirePermission(ctx, taskID, userID, Permissions.IsTeacher); err != nil {
		return Task{}, err
	}
	return s.Writer.ChangeTask(ctx, taskID, func(d *TaskChange) error {
		if err := cond.Check(d.Version); err != nil {
			return err
		}
		return fn(d)
	})
}
