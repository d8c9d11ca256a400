package page_test

import (
	"fmt"
	"net/url"

	"pgo/pkg/page"
)

type city struct{ Name string }

// A store reads one row more than the limit after the request's key; the page then knows whether the list goes on.
func ExampleNew() {
	request, err := page.Parse(url.Values{"limit": {"2"}}, func(name string) bool { return name != "" })
	if err != nil {
		panic(err)
	}
	rows := []string{"Basel", "Bern", "Chur"} // limit + 1
	first, err := page.New(rows, request.Limit, func(row string) city { return city{row} }, func(c city) string { return c.Name })
	if err != nil {
		panic(err)
	}
	fmt.Println(first.Items, *first.NextCursor)

	next, err := page.Parse(url.Values{"cursor": {*first.NextCursor}}, func(name string) bool { return name != "" })
	if err != nil {
		panic(err)
	}
	fmt.Println(*next.After)
	// Output:
	// [{Basel} {Bern}] IkJlcm4i
	// Bern
}
