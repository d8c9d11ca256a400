package problem_test

import (
	"errors"
	"fmt"

	"pgo/pkg/problem"
)

// A domain declares its problems as values; adapters add the cause, and callers compare codes.
func ExampleNew() {
	errEmailTaken := problem.New(problem.KindConflict, "email_taken", "There is an account with this e-mail address.")
	err := fmt.Errorf("create user: %w", errEmailTaken.WithCause(errors.New("duplicate entry")))
	fmt.Println(errors.Is(err, errEmailTaken))
	fmt.Println(problem.FromError(err).Kind)
	// Output:
	// true
	// conflict
}

func ExampleInvalid() {
	err := problem.Invalid(problem.Field{Field: "name", Code: "required", Message: "must be given"})
	fmt.Println(err)
	fmt.Println(problem.Invalid())
	// Output:
	// validation_failed: The request's content is not valid. [name: required]
	// <nil>
}

func ExampleFromError() {
	p := problem.FromError(errors.New("table users is gone"))
	fmt.Println(p.Kind, p.Detail)
	// Output: internal Something went wrong on our side.
}
