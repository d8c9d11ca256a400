package task

import (
	"context"
	"time"

	"pgo/pkg/page"
)

// Reader finds tasks and what students did about them. What does not exist is a not_found problem.
type Reader interface {
	// Role returns somebody's role in a class, "" when they are not in it or it is gone.
	Role(ctx context.Context, classID, userID string) (string, error)
	// Standing returns a task together with what somebody has to do with it.
	Standing(ctx context.Context, taskID, userID string) (Standing, error)
	// List returns what somebody teaches or is assigned.
	List(ctx context.Context, userID string, f Filter, p page.Request[Key]) (page.Page[Task], error)
}

// WorkReader finds what students did about a task.
type WorkReader interface {
	Assignments(ctx context.Context, taskID, status string, p page.Request[UserKey]) (page.Page[Assignment], error)
	// Submission returns what one student has saved. not_found while there is nothing.
	Submission(ctx context.Context, taskID, userID string) (Submission, error)
	// Submissions lists what was handed in, drafts not among it.
	Submissions(ctx context.Context, taskID string, p page.Request[UserKey]) (page.Page[NamedSubmission], error)
	// Stats are those of a version of the task.
	Stats(ctx context.Context, taskID string, version int64) (Stats, error)
	// Grades returns the next rows of a task's table of grades, in the order of user ids.
	Grades(ctx context.Context, taskID, afterUser string, limit int) ([]Grade, error)
}

// Writer changes tasks. Each method is one transaction: the rows and the events, or nothing.
type Writer interface {
	Create(ctx context.Context, t Task) error
	// Change locks the task, has fn change it, and stores what fn did, unless fn returns an error. fn may be
	// called again after a deadlock.
	Change(ctx context.Context, taskID string, fn func(*Draft) error) (Task, error)
	// ChangeWork does the same for what a student does about a task. not_found when it is not assigned to them.
	ChangeWork(ctx context.Context, taskID, userID string, fn func(*Work) error) (Submission, error)
}

// Service is everything that can be done with tasks. Its methods are safe for concurrent use.
type Service struct {
	Reader Reader
	Work   WorkReader
	Writer Writer
	Wake   func()           // tells who makes assignments that there are some to make
	Now    func() time.Time // in UTC
}

// Filter says which tasks a list has; empty fields mean all.
type Filter struct {
	ClassID   string
	Status    string
	Assigned  bool // only what is assigned to the caller
	DueBefore time.Time
}

// Key is the order of lists of tasks: by id, which is by time.
type Key struct {
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
