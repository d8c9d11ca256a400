package task

import (
	"context"
	"time"

	"pgo/pkg/page"
)

// Reader finds tasks and what students did about them. What does not exist is a not_found problem.
type Reader interface {
	// FindClassRole returns somebody's role in a class, "" when they are not in it or it is gone.
	FindClassRole(ctx context.Context, classID, userID string) (string, error)
	// FindPermissions returns a task together with what somebody has to do with it.
	FindPermissions(ctx context.Context, taskID, userID string) (Permissions, error)
	// ListTasks returns what somebody teaches or is assigned.
	ListTasks(ctx context.Context, userID string, f TaskFilter, p page.Request[TaskKey]) (page.Page[Task], error)
}

// SubmissionReader finds what students did about a task.
type SubmissionReader interface {
	ListAssignments(ctx context.Context, taskID, status string, p page.Request[UserKey]) (page.Page[Assignment], error)
	// FindSubmission returns what one student has saved. not_found while there is nothing.
	FindSubmission(ctx context.Context, taskID, userID string) (Submission, error)
	// ListSubmissions lists what was handed in, drafts not among it.
	ListSubmissions(ctx context.Context, taskID string, p page.Request[UserKey]) (page.Page[NamedSubmission], error)
	// ReadStats are those of a version of the task.
	ReadStats(ctx context.Context, taskID string, version int64) (Stats, error)
	// ListGrades returns the next rows of a task's table of grades, in the order of user ids.
	ListGrades(ctx context.Context, taskID, afterUser string, limit int) ([]Grade, error)
}

// Writer changes tasks. Each method is one transaction: the rows and the events, or nothing.
type Writer interface {
	CreateTask(ctx context.Context, t Task) error
	// ChangeTask locks the task, has fn change it, and stores what fn did, unless fn returns an error. fn may be
	// called again after a deadlock.
	ChangeTask(ctx context.Context, taskID string, fn func(*TaskChange) error) (Task, error)
	// ChangeSubmission does the same for what a student does about a task. not_found when it is not assigned to them.
	ChangeSubmission(ctx context.Context, taskID, userID string, fn func(*SubmissionChange) error) (Submission, error)
}

// Service is everything that can be done with tasks. Its methods are safe for concurrent use.
type Service struct {
	Reader      Reader
	Submissions SubmissionReader
	Writer      Writer
	Wake        func()           // tells who makes assignments that there are some to make
	Now         func() time.Time // in UTC
}

// TaskFilter says which tasks a list has; empty fields mean all.
type TaskFilter struct {
	ClassID      string
	Status       string
	OnlyAssigned bool // only what is assigned to the caller
	DueBefore    time.Time
}

// TaskKey is the order of lists of tasks: by id, which is by time.
type TaskKey struct {
	ID string `json:"id"`
}

// UserKey is the order of lists of people's work.
type UserKey struct {
	UserID string `json:"user_id"`
}

// Grade is one row of a task's table of grades.
type Grade struct {
	Assignment
	Feedback string
}

// now is the time as the database keeps it: what is answered now and what is read later are the same.
func (s *Service) now() time.Time { return s.Now().Truncate(time.Microsecond) }
