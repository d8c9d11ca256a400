package httpapi

import (
	"encoding/csv"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/gin-gonic/gin"

	"pgo/pkg/httpx"
	_ "pgo/pkg/problem" // swag looks for the types that a comment names among its file's imports
	"pgo/services/task"
)

// getGrades godoc
//
//	@Summary		Get a task's table of grades
//	@Description	One line for each assignment, in the order of user ids. A text that a spreadsheet could take for a formula has an apostrophe before it.
//	@Tags			grading
//	@Security		BearerAuth
//	@Produce		text/csv
//	@Produce		json
//	@Param			id	path		string	true	"task id"
//	@Success		200	{string}	string	"user_id,name,status,late,score,max_score,submitted_at,graded_at,feedback"
//	@Failure		401	{object}	problem.Body	"unauthenticated"
//	@Failure		403	{object}	problem.Body	"forbidden"
//	@Failure		404	{object}	problem.Body	"not_found"
//	@Router			/tasks/{id}/grades.csv [get]
func (a *API) getGrades(c *gin.Context) error {
	id, err := httpx.ReadPathID(c, "id")
	if err != nil {
		return err
	}
	out := csv.NewWriter(c.Writer)
	var maxScore string
	begin := func(t task.Task) error {
		maxScore = strconv.Itoa(t.MaxScore)
		c.Header("Content-Type", "text/csv; charset=utf-8; header=present")
		c.Header("Content-Disposition", `attachment; filename="grades-`+t.ID+`.csv"`)
		c.Status(http.StatusOK)
		return out.Write([]string{"user_id", "name", "status", "late", "score", "max_score", "submitted_at", "graded_at", "feedback"})
	}
	err = a.tasks.StreamGrades(c.Request.Context(), callerID(c), id, begin, func(rows []task.Grade) error {
		for _, g := range rows {
			if err := out.Write(csvRecord(g, maxScore)); err != nil {
				return err
			}
		}
		out.Flush()
		c.Writer.Flush()
		return out.Error()
	})
	if err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}

// csvRecord returns a row of the table of grades.
func csvRecord(g task.Grade, maxScore string) []string {
	name, score := "", ""
	if g.Assignment.Name != nil {
		name = *g.Assignment.Name
	}
	if g.Assignment.Score != nil {
		score = strconv.Itoa(*g.Assignment.Score)
	}
	return []string{g.Assignment.UserID, escapeFormula(name), g.Assignment.Status, strconv.FormatBool(g.Assignment.Late), score, maxScore, formatTime(g.Assignment.SubmittedAt), formatTime(g.Assignment.GradedAt), escapeFormula(g.Feedback)}
}

func formatTime(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// escapeFormula returns the text with an apostrophe before it if a spreadsheet might take it for a formula. Some spreadsheets
// skip leading space, and some accept full-width signs.
func escapeFormula(s string) string {
	first := strings.TrimLeftFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) })
	if strings.HasPrefix(s, "\t") || strings.HasPrefix(s, "\r") || strings.HasPrefix(s, "\n") || first != "" && strings.ContainsRune("=+-@＝＋－＠", []rune(first)[0]) {
		return "'" + s
	}
	return s
}
