package store

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"pgo/pkg/mysql"
	"pgo/pkg/page"
	"pgo/services/task"
)

// classesPerQuery limits the size of the statement that reads the tasks of the classes that a person teaches.
const classesPerQuery = 50

// summaryColumns are the columns of a task t that a list shows.
const summaryColumns = `t.id, t.class_id, t.title, t.status, t.max_score, t.due_at, t.assigned_count, t.submitted_count, t.graded_count, t.version,
	t.created_by, t.created_at, t.updated_at, t.published_at, t.closed_at`

// ListTasks implements task.Reader. The tasks that a person teaches are read class by class, and those that they are
// assigned in another query. Each part is a range of an index in the list's order, of which at most a page is read. The
// parts are merged here.
func (s *Store) ListTasks(ctx context.Context, userID string, f task.TaskFilter, p page.Request[task.TaskKey]) (page.Page[task.Summary], error) {
	rows, err := s.listAssigned(ctx, userID, f, p)
	if err == nil && !f.OnlyAssigned {
		var taught []taskRow
		taught, err = s.listTaught(ctx, userID, f, p)
		rows = append(rows, taught...)
	}
	if err != nil {
		return page.Page[task.Summary]{}, mysql.Wrap(err, "list tasks")
	}
	slices.SortFunc(rows, func(a, b taskRow) int { return cmp.Compare(a.ID, b.ID) })
	rows = slices.CompactFunc(rows, func(a, b taskRow) bool { return a.ID == b.ID }) // a task is in both parts if the person's role changed between the reads
	if len(rows) > p.Limit+1 {
		rows = rows[:p.Limit+1]
	}
	return page.New(rows, p.Limit, taskRow.toSummary, func(t task.Summary) task.TaskKey { return task.TaskKey{ID: t.ID} })
}

// filterConditions returns the conditions of the filter and the page on the tasks t, to append to other conditions.
func filterConditions(f task.TaskFilter, p page.Request[task.TaskKey], idColumn string) (string, []any) {
	var text strings.Builder
	var args []any
	add := func(condition string, arg any) {
		text.WriteString(" AND " + condition)
		args = append(args, arg)
	}
	if f.Status != "" {
		add("t.status = ?", f.Status)
	}
	if !f.DueBefore.IsZero() {
		add("t.due_at < ?", f.DueBefore)
	}
	if p.After != nil {
		add(idColumn+" > ?", p.After.ID)
	}
	return text.String(), args
}

// listTaught reads the page of the tasks in classes that the person teaches, in chunks of classes and in no order.
func (s *Store) listTaught(ctx context.Context, userID string, f task.TaskFilter, p page.Request[task.TaskKey]) ([]taskRow, error) {
	var classes []string
	q := s.db.WithContext(ctx).Model(&classMemberRow{}).Joins("JOIN "+visibleClass+" ON c.id = view_class_members.class_id").
		Where("user_id = ? AND removed = FALSE AND role = ?", userID, task.RoleTeacher)
	if f.ClassID != "" {
		q = q.Where("class_id = ?", f.ClassID)
	}
	if err := q.Order("class_id").Pluck("class_id", &classes).Error; err != nil {
		return nil, err
	}
	index := "tasks_class"
	if f.Status != "" {
		index = "tasks_class_status"
	}
	var all []taskRow
	for chunk := range slices.Chunk(classes, classesPerQuery) {
		condition, conditionArgs := filterConditions(f, p, "t.id")
		var parts []string
		var args []any
		for _, class := range chunk {
			parts = append(parts, "(SELECT "+summaryColumns+" FROM tasks t FORCE INDEX ("+index+") WHERE t.class_id = ?"+condition+" ORDER BY t.id LIMIT ?)")
			args = append(append(append(args, class), conditionArgs...), p.Limit+1)
		}
		var rows []taskRow
		if err := s.db.WithContext(ctx).Raw(strings.Join(parts, " UNION ALL "), args...).Find(&rows).Error; err != nil {
			return nil, err
		}
		all = append(all, rows...)
	}
	return all, nil
}

// listAssigned reads the page of the tasks that are assigned to the person, or that they handed in before they left the class
// for another of the school.
func (s *Store) listAssigned(ctx context.Context, userID string, f task.TaskFilter, p page.Request[task.TaskKey]) ([]taskRow, error) {
	index, class := "assignments_user", ""
	args := []any{userID}
	if f.ClassID != "" {
		index, class = "assignments_user_class", " AND a.class_id = ?"
		args = append(args, f.ClassID)
	}
	condition, conditionArgs := filterConditions(f, p, "a.task_id")
	args = append(append(args, conditionArgs...), p.Limit+1)
	var rows []taskRow
	// The join order is fixed: it starts at the assignments, which are in the list's order. The server might otherwise
	// join with a buffer and sort.
	err := s.db.WithContext(ctx).Raw(`SELECT STRAIGHT_JOIN `+summaryColumns+` FROM assignments a FORCE INDEX (`+index+`)
		JOIN view_classes c FORCE INDEX (PRIMARY) ON c.id = a.class_id AND c.deleted = FALSE AND c.archived = FALSE
		JOIN view_schools cs FORCE INDEX (PRIMARY) ON cs.id = c.school_id AND cs.archived = FALSE
		JOIN tasks t FORCE INDEX (PRIMARY) ON t.id = a.task_id
		LEFT JOIN view_class_members m FORCE INDEX (PRIMARY) ON m.class_id = a.class_id AND m.user_id = a.user_id AND m.removed = FALSE AND m.role = 'student'
		LEFT JOIN view_school_members s FORCE INDEX (PRIMARY) ON s.school_id = c.school_id AND s.user_id = a.user_id AND s.removed = FALSE
		WHERE a.user_id = ? AND (m.user_id IS NOT NULL OR a.status <> 'assigned' AND s.user_id IS NOT NULL)`+class+condition+` ORDER BY a.task_id LIMIT ?`, args...).Find(&rows).Error
	return rows, err
}
