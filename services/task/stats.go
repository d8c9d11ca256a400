package task

// Stats holds the statistics of a task. The statistics of scores are null while no submission has a grade.
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

// AssignmentGroup is the number of a task's assignments with the same status, lateness and score.
type AssignmentGroup struct {
	Status string
	Late   bool `gorm:"column:late_now"` // by the deadline in force
	Score  *int
	Count  int
}

// ComputeStats returns the statistics of a task from its groups. Groups with a score must be ordered by it.
func ComputeStats(groups []AssignmentGroup) Stats {
	var s Stats
	var scores []AssignmentGroup
	sum := 0
	for _, g := range groups {
		s.Assigned += g.Count
		if g.Status != SubmissionAssigned {
			s.Submitted += g.Count
		}
		if g.Late {
			s.Late += g.Count
		}
		if g.Status == SubmissionGraded && g.Score != nil {
			s.Graded += g.Count
			sum += g.Count * *g.Score
			scores = append(scores, g)
		}
	}
	if s.Graded == 0 {
		return s
	}
	mean := float64(sum) / float64(s.Graded)
	median := float64(scoreAt(scores, (s.Graded-1)/2)+scoreAt(scores, s.Graded/2)) / 2
	minScore, maxScore := *scores[0].Score, *scores[len(scores)-1].Score
	s.Mean, s.Median, s.Min, s.Max = &mean, &median, &minScore, &maxScore
	return s
}

// scoreAt returns the score with the index among all scores in ascending order.
func scoreAt(scores []AssignmentGroup, index int) int {
	for _, g := range scores {
		if index < g.Count {
			return *g.Score
		}
		index -= g.Count
	}
	return 0
}
