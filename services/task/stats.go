package task

// Stats is what a teacher sees of a task at a glance. The figures of scores are null while there are none.
type Stats struct {
	Assigned  int      `json:"assigned"`
	Submitted int      `json:"submitted"`
	Late      int      `json:"late"`
	Graded    int      `json:"graded"`
	Mean      *float64 `json:"mean"`
	Median    *float64 `json:"median"`
	Min       *int     `json:"min"`
	Max       *int     `json:"max"`
}

// AssignmentGroup is how many assignments of a task are alike.
type AssignmentGroup struct {
	Status string
	Late   bool
	Score  *int
	Count  int
}

// ComputeStats counts the tallies of a task together; those with a score come in its order.
func ComputeStats(tallies []AssignmentGroup) Stats {
	var s Stats
	var scores []AssignmentGroup
	sum := 0
	for _, t := range tallies {
		s.Assigned += t.Count
		if t.Status != SubmissionAssigned {
			s.Submitted += t.Count
		}
		if t.Late {
			s.Late += t.Count
		}
		if t.Status == SubmissionGraded && t.Score != nil {
			s.Graded += t.Count
			sum += t.Count * *t.Score
			scores = append(scores, t)
		}
	}
	if s.Graded == 0 {
		return s
	}
	mean := float64(sum) / float64(s.Graded)
	median := float64(scoreAt(scores, (s.Graded-1)/2)+scoreAt(scores, s.Graded/2)) / 2
	least, most := *scores[0].Score, *scores[len(scores)-1].Score
	s.Mean, s.Median, s.Min, s.Max = &mean, &median, &least, &most
	return s
}

// scoreAt returns the score at a place in the order of all scores.
func scoreAt(scores []AssignmentGroup, place int) int {
	for _, t := range scores {
		if place < t.Count {
			return *t.Score
		}
		place -= t.Count
	}
	return 0
}
