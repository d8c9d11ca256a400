// Package store keeps tasks and the view of School in MySQL through GORM.
//
// Transactions lock in one order, so that they rarely deadlock: the fan-out's row, the school, the class, assignments,
// tasks by id. The lock of a class protects the set of its students: transactions that change the students, and those that
// create assignments for them, hold it. Requests never take it.
package store

import (
	"context"
	"time"

	"gorm.io/gorm"

	"pgo/pkg/cache"
	"pgo/pkg/event"
	"pgo/pkg/outbox"
	"pgo/services/task"
)

// Store implements task.Reader, SubmissionReader, Writer and FanOutStore, events.View and view.Repairer. It is safe for
// concurrent use.
type Store struct {
	db             *gorm.DB
	cache          *cache.Cache
	source         string
	notifyAppended func() // called after a commit that put events into the outbox
}

// New returns a store. Its events carry source as their source. It calls notifyAppended after each commit that put
// events into the outbox.
func New(db *gorm.DB, c *cache.Cache, source string, notifyAppended func()) *Store {
	return &Store{db: db, cache: c, source: source, notifyAppended: notifyAppended}
}

// taskRow is a row of the table tasks.
type taskRow struct {
	ID             string
	ClassID        string
	Title          string
	Description    string
	Status         string
	MaxScore       int
	DueAt          time.Time
	AssignedCount  int
	SubmittedCount int
	GradedCount    int
	Version        int64
	Revision       int64
	Sequence       int64 // of the last event about this task
	CreatedBy      string
	CreatedAt      time.Time
	UpdatedAt      time.Time `gorm:"autoUpdateTime:false"` // set by the domain
	PublishedAt    *time.Time
	ClosedAt       *time.Time
}

func (taskRow) TableName() string { return "tasks" }

func (r taskRow) toTask() task.Task {
	return task.Task{
		ID: r.ID, ClassID: r.ClassID, Title: r.Title, Description: r.Description, Status: r.Status, MaxScore: r.MaxScore, DueAt: r.DueAt,
		AssignedCount: r.AssignedCount, SubmittedCount: r.SubmittedCount, GradedCount: r.GradedCount, Version: r.Version, Revision: r.Revision,
		CreatedBy: r.CreatedBy, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, PublishedAt: r.PublishedAt, ClosedAt: r.ClosedAt,
	}
}

func (r taskRow) toSummary() task.Summary {
	return task.Summary{
		ID: r.ID, ClassID: r.ClassID, Title: r.Title, Status: r.Status, MaxScore: r.MaxScore, DueAt: r.DueAt,
		AssignedCount: r.AssignedCount, SubmittedCount: r.SubmittedCount, GradedCount: r.GradedCount, Version: r.Version,
		CreatedBy: r.CreatedBy, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, PublishedAt: r.PublishedAt, ClosedAt: r.ClosedAt,
	}
}

func newTaskRow(t task.Task, sequence int64) taskRow {
	return taskRow{
		ID: t.ID, ClassID: t.ClassID, Title: t.Title, Description: t.Description, Status: t.Status, MaxScore: t.MaxScore, DueAt: t.DueAt,
		AssignedCount: t.AssignedCount, SubmittedCount: t.SubmittedCount, GradedCount: t.GradedCount, Version: t.Version, Revision: t.Revision, Sequence: sequence,
		CreatedBy: t.CreatedBy, CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt, PublishedAt: t.PublishedAt, ClosedAt: t.ClosedAt,
	}
}

// assignmentRow is a row of the table assignments.
type assignmentRow struct {
	TaskID           string
	UserID           string
	ClassID          string
	Status           string
	Late             bool // when it was written, for releases that do not compare the deadline; isLate is the current value
	Score            *int
	Version          int64 // of the submission; 0 while there is none
	AssignedAt       time.Time
	SubmittedAt      *time.Time // of the last hand-in
	GradedAt         *time.Time
	HandIns          int        // 0 for work that was handed in before hand-ins were counted
	FirstSubmittedAt *time.Time // nil if there is one hand-in, at SubmittedAt
	GradedNumber     *int       // of the hand-in that the grade is for
	ExtendedDueAt    *time.Time
	Withdrawn        bool // the student left the class without handing in
}

func (assignmentRow) TableName() string { return "assignments" }

// submissionRow is a row of the table submissions: the content saved for an assignment.
type submissionRow struct {
	TaskID    string
	UserID    string
	Content   string
	Feedback  string
	UpdatedAt time.Time `gorm:"autoUpdateTime:false"`
}

func (submissionRow) TableName() string { return "submissions" }

// toSubmission joins the two rows of a submission to its last hand-in, which is taken for the one that counts.
func (r assignmentRow) toSubmission(t task.Task, s submissionRow) task.Submission {
	status := r.Status
	if status == task.SubmissionAssigned {
		status = task.SubmissionDraft
	}
	return task.Submission{
		TaskID: r.TaskID, UserID: r.UserID, Status: status, Content: s.Content, DueAt: r.dueAt(t), Late: r.isLate(t), Score: r.Score, Feedback: s.Feedback,
		Number: r.handIns(), CountedNumber: r.handIns(), HandIns: r.handIns(),
		Version: r.Version, SubmittedAt: r.SubmittedAt, GradedAt: r.GradedAt, UpdatedAt: s.UpdatedAt,
	}
}

// handIns returns the number of times that the student has handed in.
func (r assignmentRow) handIns() int {
	if r.SubmittedAt != nil {
		return max(r.HandIns, 1)
	}
	return 0
}

func (r assignmentRow) dueAt(t task.Task) time.Time {
	return task.DeadlineInForce(t.DueAt, r.ExtendedDueAt)
}

// firstSubmittedAt returns the time of the first hand-in, nil if there is none.
func (r assignmentRow) firstSubmittedAt() *time.Time {
	if r.FirstSubmittedAt != nil {
		return r.FirstSubmittedAt
	}
	return r.SubmittedAt
}

// isLate reports whether the student has handed in, but not by the deadline in force.
func (r assignmentRow) isLate(t task.Task) bool {
	first := r.firstSubmittedAt()
	return first != nil && first.After(r.dueAt(t))
}

// mayCountFormer reports whether the hand-in that counts may be another than the last one.
func (r assignmentRow) mayCountFormer(t task.Task) bool {
	if r.GradedNumber != nil {
		return *r.GradedNumber != r.handIns()
	}
	return r.handIns() > 1 && r.SubmittedAt.After(r.dueAt(t)) && !r.isLate(t)
}

// appendEvents puts events about a task into the outbox, numbered from sequence+1, and returns the last number.
func (s *Store) appendEvents(ctx context.Context, tx *gorm.DB, taskID string, sequence int64, events []task.Event) (int64, error) {
	for _, e := range events {
		sequence++
		ev, err := event.New(ctx, s.source, e.Type, taskID, sequence, e.Data)
		if err != nil {
			return 0, err
		}
		if err := outbox.Append(ctx, tx.Statement.ConnPool, ev); err != nil {
			return 0, err
		}
	}
	return sequence, nil
}
