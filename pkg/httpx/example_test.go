package httpx_test

import (
	"fmt"

	"pgo/pkg/httpx"
	"pgo/pkg/problem"
)

func ExampleStatusOf() {
	fmt.Println(httpx.StatusOf(problem.KindConflict))
	fmt.Println(httpx.StatusOf(problem.KindRateLimited))
	// Output:
	// 409
	// 429
}
