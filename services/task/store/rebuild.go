package store

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"pgo/pkg/mysql"
	"pgo/services/task"
	"pgo/services/task/view"
)

const idsPerQuery = 1000

// ListSchoolIDs implements view.Repairer.
func (s *Store) ListSchoolIDs(ctx context.Context, after string) (ids []string, err error) {
	err = s.db.WithContext(ctx).Model(&schoolRow{}).Where("id > ? AND deleted = FALSE", after).Order("id").Limit(idsPerQuery).Pluck("id", &ids).Error
	return ids, mysql.Wrap(err, "list schools")
}

// ListClassIDs implements view.Repairer.
func (s *Store) ListClassIDs(ctx context.Context, after string) (ids []string, err error) {
	err = s.db.WithContext(ctx).Model(&classRow{}).Where("id > ? AND deleted = FALSE", after).Order("id").Limit(idsPerQuery).Pluck("id", &ids).Error
	return ids, mysql.Wrap(err, "list classes")
}

// RepairSchool implements view.Repairer.
func (s *Store) RepairSchool(ctx context.Context, id string, want *view.SchoolState, dryRun bool) ([]view.Difference, error) {
	if !dryRun {
		if err := s.EnsureSchoolRow(ctx, id); err != nil {
			return nil, err
		}
	}
	var r view.SchoolRepair
	err := mysql.InTx(ctx, s.db, func(tx *gorm.DB) error {
		here, err := lockSchoolState(tx, id)
		if err != nil {
			return err
		}
		r = view.CompareSchool(here, want)
		if dryRun {
			return nil
		}
		if r.School != nil {
			if err := writeSchool(tx, *r.School); err != nil {
				return err
			}
		}
		for _, m := range r.Members {
			if err := tx.Where("school_id = ? AND user_id = ?", m.SchoolID, m.UserID).Delete(&memberRow{}).Error; err != nil {
				return fmt.Errorf("replace member: %w", err)
			}
			if err := writeMember(tx, m); err != nil {
				return err
			}
		}
		return nil
	})
	return r.Differences, err
}

// lockSchoolState locks a school and reads it and its members.
func lockSchoolState(tx *gorm.DB, id string) (view.SchoolState, error) {
	state := view.SchoolState{School: view.School{ID: id}, Members: map[string]view.Member{}}
	var rows []schoolRow
	if err := tx.Raw("SELECT * FROM view_schools WHERE id = ? FOR UPDATE", id).Find(&rows).Error; err != nil {
		return state, fmt.Errorf("lock school: %w", err)
	}
	for _, r := range rows { // one row, or none in a dry run
		state.School = view.School{ID: id, Name: emptyIfNull(r.Name), Timezone: emptyIfNull(r.Timezone), Archived: r.Archived, Deleted: r.Deleted, Sequence: r.Sequence}
	}
	var members []memberRow
	if err := tx.Find(&members, "school_id = ?", id).Error; err != nil {
		return state, fmt.Errorf("read members: %w", err)
	}
	for _, m := range members {
		state.Members[m.UserID] = view.Member{SchoolID: id, UserID: m.UserID, Role: m.Role, Removed: m.Removed, Sequence: m.Sequence}
	}
	return state, nil
}

// RepairClass implements view.Repairer. New students get their tasks from restarted fan-outs. Tasks that were not
// handed in are withdrawn from people who are no longer students.
func (s *Store) RepairClass(ctx context.Context, id string, want *view.ClassState, dryRun bool) ([]view.Difference, error) {
	schoolID := ""
	if want != nil {
		schoolID = want.Class.SchoolID
		if !dryRun {
			if err := s.EnsureClassRow(ctx, id, schoolID); err != nil {
				return nil, err
			}
		}
	}
	var r view.ClassRepair
	err := mysql.InTx(ctx, s.db, func(tx *gorm.DB) error {
		r = view.ClassRepair{}
		here, err := lockClassState(tx, id, schoolID)
		if err != nil {
			return err
		}
		var school []schoolRow
		if err := tx.Find(&school, "id = ?", here.Class.SchoolID).Error; err != nil {
			return fmt.Errorf("read school: %w", err)
		}
		if len(school) > 0 && school[0].Deleted {
			return nil // by an event that is newer than the export, since schools are repaired before classes
		}
		r = view.CompareClass(here, want)
		if want == nil {
			if dryRun || r.Class == nil {
				return nil
			}
			return writeClass(tx, *r.Class)
		}
		if here.Class.Deleted && r.Class == nil {
			return nil // the class was deleted by an event that is newer than the export
		}
		return repairClass(tx, here, &r, dryRun)
	})
	if err != nil || dryRun || len(r.Differences) == 0 || want == nil {
		return r.Differences, err
	}
	return r.Differences, s.restartFanOuts(ctx, id)
}

// repairClass writes the differences. It also finds people who have tasks without being students, and students without
// their tasks: a change newer than the export may have been applied to wrong data and then had no effect on tasks.
func repairClass(tx *gorm.DB, here view.ClassState, r *view.ClassRepair, dryRun bool) error {
	var holders []string
	err := tx.Raw(`SELECT DISTINCT a.user_id FROM tasks t JOIN assignments a ON a.task_id = t.id
		WHERE t.class_id = ? AND a.status = ? AND a.withdrawn = FALSE ORDER BY a.user_id`, here.Class.ID, task.SubmissionAssigned).Scan(&holders).Error
	if err != nil {
		return fmt.Errorf("read holders of tasks: %w", err)
	}
	for _, m := range r.Members {
		here.Members[m.UserID] = m
	}
	var nonStudents []string
	for _, user := range holders {
		if m := here.Members[user]; m.Role != task.RoleStudent || m.Removed {
			nonStudents = append(nonStudents, user)
			r.Differences = append(r.Differences, view.Difference{Kind: "assignments", ID: here.Class.ID + "/" + user, Here: task.SubmissionAssigned, Want: "no student"})
		}
	}
	lacking, err := listStudentsLackingTasks(tx, here.Class.ID)
	if err != nil {
		return err
	}
	for _, user := range lacking {
		if m := here.Members[user]; m.Role == task.RoleStudent && !m.Removed {
			r.Differences = append(r.Differences, view.Difference{Kind: "assignments", ID: here.Class.ID + "/" + user, Here: "none", Want: task.SubmissionAssigned})
		}
	}
	if dryRun {
		return nil
	}
	if r.Class != nil {
		if err := writeClass(tx, *r.Class); err != nil {
			return err
		}
	}
	for _, m := range r.Members {
		if err := writeClassMember(tx, m); err != nil {
			return err
		}
	}
	for _, user := range nonStudents {
		if err := unenrolStudent(tx, here.Class.ID, user); err != nil {
			return err
		}
	}
	return nil
}

// listStudentsLackingTasks returns the students of a class who lack an open task, unless a fan-out of the task is pending.
func listStudentsLackingTasks(tx *gorm.DB, classID string) (users []string, err error) {
	err = tx.Raw(`SELECT DISTINCT m.user_id FROM tasks t JOIN view_class_members m ON m.class_id = t.class_id
		LEFT JOIN assignments a ON a.task_id = t.id AND a.user_id = m.user_id AND a.withdrawn = FALSE
		LEFT JOIN fanouts f ON f.task_id = t.id
		WHERE t.class_id = ? AND t.status = ? AND m.role = ? AND m.removed = FALSE AND a.task_id IS NULL AND f.task_id IS NULL ORDER BY m.user_id`,
		classID, task.StatusPublished, task.RoleStudent).Scan(&users).Error
	if err != nil {
		return nil, fmt.Errorf("read students who lack tasks: %w", err)
	}
	return users, nil
}

// lockClassState locks a class and reads it and its members. A class without a row, as in a dry run, is returned as a class
// of schoolID.
func lockClassState(tx *gorm.DB, id, schoolID string) (view.ClassState, error) {
	state := view.ClassState{Class: view.Class{ID: id, SchoolID: schoolID}, Members: map[string]view.ClassMember{}}
	var rows []classRow
	if err := tx.Raw("SELECT * FROM view_classes WHERE id = ? FOR UPDATE", id).Find(&rows).Error; err != nil {
		return state, fmt.Errorf("lock class: %w", err)
	}
	for _, r := range rows {
		state.Class = view.Class{ID: id, SchoolID: r.SchoolID, Name: emptyIfNull(r.Name), Archived: r.Archived, Deleted: r.Deleted, Sequence: r.Sequence}
	}
	var members []classMemberRow
	if err := tx.Find(&members, "class_id = ?", id).Error; err != nil {
		return state, fmt.Errorf("read class members: %w", err)
	}
	for _, m := range members {
		state.Members[m.UserID] = view.ClassMember{ClassID: id, SchoolID: state.Class.SchoolID, UserID: m.UserID, Role: m.Role, Removed: m.Removed, Sequence: m.Sequence}
	}
	return state, nil
}

// restartFanOuts starts a fan-out of every open task of a class, which finds the students who do not have it.
func (s *Store) restartFanOuts(ctx context.Context, classID string) error {
	return mysql.InTx(ctx, s.db, func(tx *gorm.DB) error {
		var ids []string
		if err := tx.Model(&taskRow{}).Where("class_id = ? AND status = ?", classID, task.StatusPublished).Order("id").Pluck("id", &ids).Error; err != nil {
			return fmt.Errorf("read open tasks: %w", err)
		}
		for _, id := range ids {
			if err := startFanOut(tx, id, classID); err != nil {
				return err
			}
		}
		return nil
	})
}

func emptyIfNull(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
