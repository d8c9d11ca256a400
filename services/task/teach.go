package task

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"pgo/pkg/etag"
	"pgo/pkg/page"
	"pgo/pkg/problem"
)

// Create sets a task, which nobody but the class's teachers sees until it is published. validation_failed;
// not_found for who is not in the class; forbidden for who does not teach it.
func (s *Service) Create(ctx context.Context, userID string, n New) (Task, error) {
	n, err := n.normalize()
	if err != nil {
		return Task{}, err
	}
	role, err := s.Reader.Role(ctx, n.ClassID, userID)
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
	return t, s.Writer.Create(ctx, t)
}

// List returns what somebody teaches or is assigned, oldest first.
func (s *Service) List(ctx context.Context, userID string, f Filter, p page.Request[Key]) (page.Page[Task], error) {
	return s.Reader.List(ctx, userID, f, p)
}

// Get returns a task to its teachers and assignees. not_found.
func (s *Service) Get(ctx context.Context, userID, taskID string) (Task, error) {
	st, err := s.require(ctx, taskID, userID, Standing.Sees)
	return st.Task, err
}

// Update changes a task whose version satisfies the condition. validation_failed, not_found, forbidden,
// precondition_failed, ErrNotDraft.
func (s *Service) Update(ctx context.Context, userID, taskID string, p Patch, cond etag.Condition) (Task, error) {
	p, fields := p.normalize()
	if err := problem.Invalid(fields...); err != nil {
		return Task{}, err
	}
	return s.change(ctx, userID, taskID, cond, func(d *Draft) error { return d.apply(p, s.now()) })
}

// Delete removes a draft. not_found, forbidden, precondition_failed, ErrNotDraft.
func (s *Service) Delete(ctx context.Context, userID, taskID string, cond etag.Condition) error {
	_, err := s.change(ctx, userID, taskID, cond, (*Draft).delete)
	return err
}

// Publish shows a draft to the students of its class. Their assignments are made in the background. not_found,
// forbidden, precondition_failed, ErrAlreadyPublished.
func (s *Service) Publish(ctx context.Context, userID, taskID string, cond etag.Condition) (Task, error) {
	t, err := s.change(ctx, userID, taskID, cond, func(d *Draft) error { return d.publish(s.now()) })
	if err == nil {
		s.Wake()
	}
	return t, err
}

// Close ends submissions. not_found, forbidden, precondition_failed, ErrNotPublished.
func (s *Service) Close(ctx context.Context, userID, taskID string, cond etag.Condition) (Task, error) {
	return s.change(ctx, userID, taskID, cond, func(d *Draft) error { return d.close(s.now()) })
}

func (s *Service) change(ctx context.Context, userID, taskID string, cond etag.Condition, fn func(*Draft) error) (Task, error) {
	if _, err := s.require(ctx, taskID, userID, Standing.Teaches); err != nil {
		return Task{}, err
	}
	return s.Writer.Change(ctx, taskID, func(d *Draft) error {
		if err := cond.Check(d.Version); err != nil {
			return err
		}
		return fn(d)
	})
}
