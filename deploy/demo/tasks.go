package main

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

const day = 24 * time.Hour

// formatTimeIn is a time from now as the API takes it.
func formatTimeIn(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }

// plan is one task that every class gets, and how far its students are with it.
type plan struct {
	title, description string
	maxScore           int
	due                time.Duration
	publish, close     bool
	late               bool // handed in after it was due
	submitted, graded  int
}

// listPlans has a task in every state.
func listPlans() []plan {
	return []plan{
		{title: "Essay: my town in 2050", description: "Two pages. Not given out yet.", maxScore: 20, due: 21 * day},
		{title: "Fractions, exercises 1 to 8", description: "Show how you got there.", maxScore: 10, due: 7 * day, publish: true, submitted: 12, graded: 5},
		{title: "Vocabulary, unit 3", description: "Twenty words in sentences of your own.", maxScore: 15, due: 2 * time.Second, publish: true, late: true, submitted: 6, graded: 2},
		{title: "Lab report: density", description: "Measure three things and compare.", maxScore: 100, due: day, publish: true, close: true, submitted: 17, graded: 17},
	}
}

// task holds the fields that are read from a task.
type task struct {
	ID       string `json:"id"`
	Status   string `json:"status"`
	Assigned int    `json:"assigned_count"`
}

// setTasks has every class work on every plan.
func (b *builder) setTasks(ctx context.Context, s *school) error {
	plans := listPlans()
	s.tasks = map[string]int{}
	n := len(s.classes) * len(plans)
	made := make([]task, n)
	err := b.progress.runEach(ctx, "tasks set and worked on", n, func(ctx context.Context, i int) (err error) {
		made[i], err = b.runTask(ctx, s.classes[i/len(plans)], plans[i%len(plans)])
		return err
	})
	for _, t := range made {
		s.tasks[t.Status]++
	}
	return err
}

// runTask sets one task in one class and brings it as far as the plan says.
func (b *builder) runTask(ctx context.Context, c class, p plan) (task, error) {
	var t task
	due := time.Now().Add(p.due)
	err := b.api.eventually(ctx, "the tasks know class "+c.name, func() error {
		due = time.Now().Add(p.due)
		return b.api.call(ctx, http.MethodPost, "/api/v1/tasks", c.teacher.token, map[string]any{
			"class_id": c.id, "title": p.title, "description": p.description, "max_score": p.maxScore, "due_at": due.UTC().Format(time.RFC3339),
		}, &t)
	}, http.StatusNotFound, http.StatusForbidden)
	if err != nil || !p.publish {
		return t, err
	}
	path := "/api/v1/tasks/" + t.ID
	if err := b.api.call(ctx, http.MethodPost, path+"/publish", c.teacher.token, nil, nil); err != nil {
		return t, err
	}
	if err := b.api.eventually(ctx, "all of class "+c.name+" have the task", func() error {
		if err := b.api.call(ctx, http.MethodGet, path, c.teacher.token, nil, &t); err != nil {
			return err
		}
		if t.Assigned < len(c.students) {
			return fmt.Errorf("%w: %d of %d", errNotYet, t.Assigned, len(c.students))
		}
		return nil
	}); err != nil {
		return t, err
	}
	if p.late {
		if err := sleepContext(ctx, time.Until(due.Add(time.Second))); err != nil { // its time is in whole seconds
			return t, err
		}
	}
	if err := b.submitWork(ctx, c, p, path); err != nil {
		return t, err
	}
	if p.close {
		return t, b.api.call(ctx, http.MethodPost, path+"/close", c.teacher.token, nil, &t)
	}
	return t, nil
}

// submitWork submits for the first students of the class and grades the first of those.
func (b *builder) submitWork(ctx context.Context, c class, p plan, path string) error {
	for i, student := range c.students[:p.submitted] {
		content := fmt.Sprintf("%s\n\n%s, class %s. This is what I have found out.", p.title, student.name, c.name)
		if err := b.api.call(ctx, http.MethodPut, path+"/submission", student.token, map[string]any{"content": content, "draft": false}, nil); err != nil {
			return err
		}
		if i >= p.graded {
			continue
		}
		score := p.maxScore * (100 - 7*(i%10)) / 100
		if err := b.api.call(ctx, http.MethodPut, path+"/submissions/"+student.id+"/grade", c.teacher.token,
			map[string]any{"score": score, "feedback": "Read with pleasure."}, nil); err != nil {
			return err
		}
	}
	return nil
}
