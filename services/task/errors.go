package task

import "pgo/pkg/problem"

// Problems that callers can get, besides validation_failed, not_found, forbidden and precondition_failed.
var (
	ErrNotDraft         = problem.New(problem.KindConflict, "task_not_draft", "This can be done while the task is a draft, and it was published.")
	ErrNotPublished     = problem.New(problem.KindConflict, "task_not_published", "The task is a draft: publish it first.")
	ErrAlreadyPublished = problem.New(problem.KindConflict, "already_published", "The task was published before.")
	ErrClosed           = problem.New(problem.KindConflict, "task_closed", "The task is closed and takes no more submissions.")
	ErrAlreadySubmitted = problem.New(problem.KindConflict, "already_submitted", "This was handed in before: a draft does not take that back.")
	ErrAlreadyGraded    = problem.New(problem.KindConflict, "already_graded", "This has a grade, which is for what was handed in.")
	ErrTooManyHandIns   = problem.New(problem.KindConflict, "too_many_hand_ins", "This was handed in 100 times, each with other work. That is the most that is kept.")
	ErrNotSubmitted     = problem.New(problem.KindConflict, "not_submitted", "The student has not handed in yet.")
)
