package task

import "time"

// Types of the events that this service publishes. They are also the routing keys on the exchange. Their subject is the
// task. The contract of the events is defined here, with the publisher: consumers decode into structs of their own.
const (
	EventPublished = "task.published.v1"
	EventClosed    = "task.closed.v1"
	EventSubmitted = "task.submitted.v1"
	EventGraded    = "task.graded.v1"
)

// Event records a change of a task or of a student's submission.
type Event struct {
	Type string
	Data any
}

// State is the data of task.published.v1 and task.closed.v1.
type State struct {
	ID        string    `json:"id"`
	ClassID   string    `json:"class_id"`
	Title     string    `json:"title"`
	Status    string    `json:"status"`
	MaxScore  int       `json:"max_score"`
	DueAt     time.Time `json:"due_at"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

func newState(t Task) State {
	return State{
		ID: t.ID, ClassID: t.ClassID, Title: t.Title, Status: t.Status, MaxScore: t.MaxScore, DueAt: t.DueAt,
		CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt,
	}
}

// SubmittedData is the data of task.submitted.v1.
type SubmittedData struct {
	TaskID      string    `json:"task_id"`
	UserID      string    `json:"user_id"`
	Late        bool      `json:"late"`
	SubmittedAt time.Time `json:"submitted_at"`
}

// GradedData is the data of task.graded.v1.
type GradedData struct {
	TaskID   string    `json:"task_id"`
	UserID   string    `json:"user_id"`
	Score    int       `json:"score"`
	MaxScore int       `json:"max_score"`
	GradedAt time.Time `json:"graded_at"`
}
