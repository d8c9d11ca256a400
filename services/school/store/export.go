package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"pgo/pkg/mysql"
	"pgo/services/school"
)

// commitGrace is the time that a transaction which began before an export gets to commit. An object whose id was created
// before taken_at is therefore in the export, or was deleted.
const commitGrace = time.Second

// Lines of an export. The sequence of a member is that of the school or class.
type (
	exportHeader struct {
		Kind    string    `json:"kind"`
		TakenAt time.Time `json:"taken_at"`
	}
	exportSchool struct {
		Kind string `json:"kind"`
		school.School
		Sequence int64 `json:"sequence"`
	}
	exportMember struct {
		Kind string `json:"kind"`
		school.MemberData
		Sequence int64 `json:"sequence"`
	}
	exportClass struct {
		Kind string `json:"kind"`
		school.Class
		Sequence int64 `json:"sequence"`
	}
	exportClassMember struct {
		Kind string `json:"kind"`
		school.ClassMemberData
		Sequence int64 `json:"sequence"`
	}
	exportEnd struct {
		Kind  string `json:"kind"`
		Lines int    `json:"lines"` // before this one
	}
)

// Export writes a consistent snapshot of all schools, classes and their members, one JSON object a line: a header, the
// objects, each after those that it belongs to, and an end line with the number of lines before it.
func (s *Store) Export(ctx context.Context, w io.Writer) error {
	e := exporter{ctx: ctx, out: json.NewEncoder(w)}
	e.out.SetEscapeHTML(false)
	pool, err := s.db.DB()
	if err != nil {
		return err
	}
	if e.conn, err = pool.Conn(ctx); err != nil {
		return mysql.Wrap(err, "export")
	}
	defer e.conn.Close()
	return mysql.Wrap(e.export(), "export")
}

type exporter struct {
	ctx   context.Context
	conn  *sql.Conn
	out   *json.Encoder
	lines int
}

func (e *exporter) export() error {
	var taken time.Time
	if err := e.conn.QueryRowContext(e.ctx, "SELECT UTC_TIMESTAMP(6)").Scan(&taken); err != nil {
		return err
	}
	select {
	case <-e.ctx.Done():
		return e.ctx.Err()
	case <-time.After(commitGrace):
	}
	// BeginTx cannot be used: its snapshot would be taken at the first read.
	if _, err := e.conn.ExecContext(e.ctx, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"); err != nil {
		return err
	}
	if _, err := e.conn.ExecContext(e.ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"); err != nil {
		return err
	}
	err := e.writeAll(taken)
	_, rollbackErr := e.conn.ExecContext(context.WithoutCancel(e.ctx), "ROLLBACK")
	return errors.Join(err, rollbackErr)
}

func (e *exporter) writeAll(taken time.Time) error {
	if err := e.writeLine(exportHeader{Kind: "header", TakenAt: taken}); err != nil {
		return err
	}
	// The joins leave out rows of deleted schools, which exist until Prune removes them.
	for _, part := range []struct {
		query string
		line  func(*sql.Rows) (any, error)
	}{
		{`SELECT id, name, timezone, ownerless, version, created_at, updated_at, archived_at, sequence FROM schools ORDER BY id`, scanSchool},
		{`SELECT m.school_id, m.user_id, m.role, m.created_at, m.updated_at, s.sequence
			FROM school_members m JOIN schools s ON s.id = m.school_id ORDER BY m.school_id, m.user_id`, scanMember},
		{`SELECT c.id, c.school_id, c.name, c.grade, c.version, c.created_at, c.updated_at, c.archived_at, c.sequence
			FROM classes c JOIN schools s ON s.id = c.school_id ORDER BY c.id`, scanClass},
		{`SELECT m.class_id, m.school_id, m.user_id, m.role, m.created_at, m.updated_at, c.sequence
			FROM class_members m JOIN classes c ON c.id = m.class_id JOIN schools s ON s.id = c.school_id ORDER BY m.class_id, m.user_id`, scanClassMember},
	} {
		if err := e.writeRows(part.query, part.line); err != nil {
			return err
		}
	}
	return e.writeLine(exportEnd{Kind: "end", Lines: e.lines})
}

func (e *exporter) writeRows(query string, line func(*sql.Rows) (any, error)) error {
	rows, err := e.conn.QueryContext(e.ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		l, err := line(rows)
		if err != nil {
			return err
		}
		if err := e.writeLine(l); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (e *exporter) writeLine(line any) error {
	if err := e.out.Encode(line); err != nil {
		return fmt.Errorf("write line %d: %w", e.lines+1, err)
	}
	e.lines++
	return nil
}

func scanSchool(r *sql.Rows) (any, error) {
	l := exportSchool{Kind: "school"}
	err := r.Scan(&l.ID, &l.Name, &l.Timezone, &l.Ownerless, &l.Version, &l.CreatedAt, &l.UpdatedAt, &l.ArchivedAt, &l.Sequence)
	return l, err
}

func scanMember(r *sql.Rows) (any, error) {
	l := exportMember{Kind: "member"}
	err := r.Scan(&l.SchoolID, &l.UserID, &l.Role, &l.CreatedAt, &l.UpdatedAt, &l.Sequence)
	return l, err
}

func scanClass(r *sql.Rows) (any, error) {
	l := exportClass{Kind: "class"}
	err := r.Scan(&l.ID, &l.SchoolID, &l.Name, &l.Grade, &l.Version, &l.CreatedAt, &l.UpdatedAt, &l.ArchivedAt, &l.Sequence)
	return l, err
}

func scanClassMember(r *sql.Rows) (any, error) {
	l := exportClassMember{Kind: "class_member"}
	err := r.Scan(&l.ClassID, &l.SchoolID, &l.UserID, &l.Role, &l.CreatedAt, &l.UpdatedAt, &l.Sequence)
	return l, err
}
