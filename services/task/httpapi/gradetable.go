package httpapi

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"pgo/pkg/httpx"
	_ "pgo/pkg/problem" // swag looks for the types that a comment names among its file's imports
	"pgo/services/task"
)

// byteOrderMark makes spreadsheets read the text as UTF-8.
const byteOrderMark = "\ufeff"

// getGrades godoc
//
//	@Summary		Get a task's table of grades
//	@Description	One line for each assignment, by name, with times in the school's time zone. The text begins with a byte order mark, and where a spreadsheet could begin a formula there is an apostrophe.
//	@Tags			grading
//	@Security		BearerAuth
//	@Produce		text/csv
//	@Produce		json
//	@Param			id	path		string	true	"task id"
//	@Success		200	{string}	string	"user_id,name,email,status,late,score,max_score,submitted_at,graded_at,timezone,feedback"
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
	var zone *time.Location
	begin := func(t task.Task, in *time.Location) error {
		maxScore, zone = strconv.Itoa(t.MaxScore), in
		c.Header("Content-Type", "text/csv; charset=utf-8; header=present")
		c.Header("Content-Disposition", formatDisposition(newFileName(t.Title)))
		c.Status(http.StatusOK)
		if _, err := c.Writer.WriteString(byteOrderMark); err != nil {
			return err
		}
		return out.Write([]string{"user_id", "name", "email", "status", "late", "score", "max_score", "submitted_at", "graded_at", "timezone", "feedback"})
	}
	err = a.tasks.StreamGrades(c.Request.Context(), callerID(c), id, begin, func(rows []task.Grade) error {
		for _, g := range rows {
			if err := out.Write(newGradeRecord(g, maxScore, zone)); err != nil {
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

// newGradeRecord returns a row of the table of grades. Its times are those of the zone.
func newGradeRecord(g task.Grade, maxScore string, zone *time.Location) []string {
	name, email, score := "", "", ""
	if g.Assignment.Name != nil {
		name = *g.Assignment.Name
	}
	if g.Email != nil {
		email = *g.Email
	}
	if g.Assignment.Score != nil {
		score = strconv.Itoa(*g.Assignment.Score)
	}
	return []string{
		g.Assignment.UserID, neutralizeCell(name), neutralizeCell(email), g.Assignment.Status, strconv.FormatBool(g.Assignment.Late), score, maxScore,
		formatTime(g.Assignment.SubmittedAt, zone), formatTime(g.Assignment.GradedAt, zone), zone.String(), neutralizeCell(g.Feedback),
	}
}

// formatTime returns a time as spreadsheets read it.
func formatTime(t *time.Time, zone *time.Location) string {
	if t == nil {
		return ""
	}
	return t.In(zone).Format(time.DateTime)
}

const (
	formulaSigns   = "=+-@＝＋－＠"
	cellSeparators = ",;\t|\n\r\v\f\u0085\u2028\u2029" // of the formats that spreadsheets guess, and line breaks
)

// neutralizeCell returns the text with an apostrophe wherever a spreadsheet could otherwise begin a formula: at its beginning, and
// after each character that separates cells, since a spreadsheet may split the text there. Spreadsheets skip leading space and
// quotes.
func neutralizeCell(s string) string {
	var b strings.Builder
	if s != "" && strings.ContainsRune("\t\r\n", rune(s[0])) {
		b.WriteByte('\'')
	}
	atBeginning := true
	for _, r := range s {
		switch {
		case strings.ContainsRune(cellSeparators, r):
			atBeginning = true
		case atBeginning && strings.ContainsRune(formulaSigns, r):
			b.WriteByte('\'')
			atBeginning = false
		case r != '"' && !unicode.IsSpace(r) && !unicode.IsControl(r) && !unicode.Is(unicode.Cf, r):
			atBeginning = false
		}
		b.WriteRune(r)
	}
	return b.String()
}

// formatDisposition returns the Content-Disposition of a download (RFC 6266): the name in full, and one in ASCII for old clients.
func formatDisposition(name string) string {
	var ascii, full strings.Builder
	for i := range len(name) {
		if b := name[i]; b < utf8.RuneSelf && (unicode.IsLetter(rune(b)) || unicode.IsDigit(rune(b)) || strings.IndexByte("-._~", b) >= 0) {
			full.WriteByte(b)
		} else {
			fmt.Fprintf(&full, "%%%02X", b)
		}
	}
	for _, r := range name {
		if r > unicode.MaxASCII || strings.ContainsRune(`"\%`, r) {
			r = '_'
		}
		ascii.WriteRune(r)
	}
	return `attachment; filename="` + ascii.String() + `"; filename*=UTF-8''` + full.String()
}

const maxFileTitle = 80 // characters

// newFileName returns the name of the file with a task's grades. It has no character that a file system refuses.
func newFileName(title string) string {
	clean := []rune(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || strings.ContainsRune(`/\:*?"<>|`, r) {
			return '-'
		}
		return r
	}, title))
	return "grades " + strings.TrimRight(string(clean[:min(len(clean), maxFileTitle)]), ". ") + ".csv"
}
