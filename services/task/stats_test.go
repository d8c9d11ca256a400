package task_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgo/services/task"
)

// computeNaiveStats computes the statistics from a list of all scores.
func computeNaiveStats(tallies []task.AssignmentGroup) task.Stats {
	var s task.Stats
	var scores []int
	for _, t := range tallies {
		for range t.Count {
			s.Assigned++
			if t.Status == "submitted" || t.Status == "graded" {
				s.Submitted++
			}
			if t.Late {
				s.Late++
			}
			if t.Status == "graded" {
				s.Graded++
				scores = append(scores, *t.Score)
			}
		}
	}
	if len(scores) == 0 {
		return s
	}
	slices.Sort(scores)
	sum := 0
	for _, n := range scores {
		sum += n
	}
	mean, n := float64(sum)/float64(len(scores)), len(scores)
	median := float64(scores[n/2])
	if n%2 == 0 {
		median = float64(scores[n/2-1]+scores[n/2]) / 2
	}
	s.Mean, s.Median, s.Min, s.Max = &mean, &median, &scores[0], &scores[n-1]
	return s
}

func formatStats(s task.Stats) string {
	show := func(v *float64) string {
		if v == nil {
			return "-"
		}
		return fmt.Sprint(*v)
	}
	whole := func(v *int) string {
		if v == nil {
			return "-"
		}
		return fmt.Sprint(*v)
	}
	return fmt.Sprint(s.Assigned, s.Submitted, s.Late, s.Graded, " ", show(s.Mean), " ", show(s.Median), " ", whole(s.Min), " ", whole(s.Max))
}

func TestStats(t *testing.T) {
	graded := func(count int, score int) task.AssignmentGroup {
		return task.AssignmentGroup{Status: "graded", Score: &score, Count: count}
	}
	for name, tallies := range map[string][]task.AssignmentGroup{
		"nothing":                     nil,
		"no grades":                   {{Status: "assigned", Count: 3}, {Status: "submitted", Late: true, Count: 2}},
		"one":                         {graded(1, 0)},
		"two":                         {graded(1, 3), graded(1, 4)},
		"three":                       {graded(1, 3), graded(2, 4)},
		"an even number around a gap": {graded(2, 1), graded(2, 10)},
	} {
		t.Run(name, func(t *testing.T) {
			if got, want := formatStats(task.ComputeStats(tallies)), formatStats(computeNaiveStats(tallies)); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
	for range 500 {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, seed))
		tallies := []task.AssignmentGroup{{Status: "assigned", Count: random.IntN(5)}, {Status: "submitted", Late: random.IntN(2) == 0, Count: random.IntN(5)}}
		for score := range random.IntN(20) {
			if random.IntN(3) > 0 {
				tallies = append(tallies, task.AssignmentGroup{Status: "graded", Late: random.IntN(2) == 0, Score: &score, Count: 1 + random.IntN(4)})
			}
		}
		if got, want := formatStats(task.ComputeStats(tallies)), formatStats(computeNaiveStats(tallies)); got != want {
			t.Fatalf("seed %d: got %s, want %s", seed, got, want)
		}
	}
}
