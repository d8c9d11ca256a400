package task

import (
	"context"
	"time"

	"pgo/pkg/page"
)

// Reader finds tasks and what people may do with them.
type Reader interface {
	// FindClassRole returns a person's role in a class, "" if they are not in it or the class was deleted.
	FindClassRole(ctx context.Context, classID, userID string) (string, error)
	// FindPermissions returns a task together with a person's relation to it. It returns not_found if the task does not
	// exist or its class was deleted.
	FindPermissions(ctx context.Context, taskID, userID string) (Permissions, error)
	// ListTasks returns the tasks that a person teaches or is assigned, ordered by id.
	ListTasks(ctx context.Context, userID string, f TaskFilter, p page.Request[TaskKey]) (page.Page[Summary], error)
}

// SubmissionReader reads the assignments and submissions of a task.
type SubmissionReader interface {
	ListAssignments(ctx context.Context, t Task, status string, p page.Request[UserKey]) (page.Page[Assignment], error)
	// FindSubmission returns what one student has saved, with the content of the last hand-in. It returns not_found if the
	// student has saved nothing.
	FindSubmission(ctx context.Context, t Task, userID string) (Submission, error)
	// FindCountedSubmission does the same with the content of the hand-in that counts.
	FindCountedSubmission(ctx context.Context, t Task, userID string) (Submission, error)
	// ListSubmissions lists what was handed in, without drafts, with the content of the hand-ins that count.
	ListSubmissions(ctx context.Context, t Task, p page.Request[UserKey]) (page.Page[NamedSubmission], error)
	// ListHandIns lists a student's hand-ins, oldest first.
	ListHandIns(ctx context.Context, t Task, userID string, p page.Request[HandInKey]) (page.Page[HandIn], error)
	// FindHandIn returns one of a student's hand-ins. It returns not_found if there is none with the number.
	FindHandIn(ctx context.Context, t Task, userID string, number int) (HandInContent, error)
	// ReadStats returns the statistics of a task as of its version and revision.
	ReadStats(ctx context.Context, t Task) (Stats, error)
	// ListGradedUsers returns the ids of the people in a task's table of grades, by name.
	ListGradedUsers(ctx context.Context, t Task) ([]string, error)
	// ListGrades returns the rows of these people in a task's table of grades, in their order.
	ListGrades(ctx context.Context, t Task, users []string) ([]Grade, error)
}

// Writer changes tasks. Each method is one transaction that commits the rows and the events, or nothing.
type Writer interface {
	CreateTask(ctx context.Context, t Task) error
	// ChangeTask locks the task, calls fn to change it, and stores the changes unless fn returns an error. It may call fn
	// again after a deadlock. It returns not_found if the task does not exist.
	ChangeTask(ctx context.Context, taskID string, fn func(*TaskChange) error) (Task, error)
	// ChangeSubmission does the same for a student's submission. It returns not_found if the task is not assigned to the
	// student.
	ChangeSubmission(ctx context.Context, taskID, userID string, fn func(*SubmissionChange) error) (Submission, error)
	// SetExtension sets or, with nil, removes a student's own deadline, after check has accepted it for the locked task. It
	// returns not_found if the task is not assigned to the student.
	SetExtension(ctx context.Context, taskID, userID string, due *time.Time, check func(Task) error) error
}

// Service implements the use cases of tasks, submissions and grades. Its methods are safe for concurrent use.
type Service struct {
	Reader      Reader
	Submissions SubmissionReader
	Writer      Writer
	Wake        func()           // notifies the fan-out of assignments to create
	Now         func() time.Time // in UTC
}

// TaskFilter selects the tasks of a list. An empty field selects all.
type TaskFilter struct {
	ClassID      string
	Status       string
	OnlyAssigned bool // only tasks that are assigned to the caller
	DueBefore    time.Time
}

// TaskKey is the sort key of lists of tasks, which are ordered by id and so by time of creation.
type TaskKey struct {
	ID string `json:"id"`
}

// UserKey is the sort key of lists of assignments and submissions, which are ordered by user id.
type UserKey struct {
	UserID string `json:"user_id"`
}

// HandInKey is the sort key of lists of hand-ins.
type HandInKey struct {
	Number int `json:"number"`
}

// Grade is one row of a task's table of grades.
type Grade struct {
	Assignment Assignment
	Email      *string // nil while it is not known
	Feedback   string
}

// now returns the time in the precision of the database, so that a value in a response equals the value read later.
func (s *Service) now() time.Time { return s.Now().Truncate(time.Microsecond) }
