//go:build faults

package e2e

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// faultLedger records what was written, by the kind and the key of the write.
type faultLedger struct {
	mu     sync.Mutex
	writes map[faultWrite]writeState
}

type faultWrite struct{ kind, key string }

type writeState int

const (
	unknownWrite      writeState = iota // no answer, or an ambiguous answer
	acknowledgedWrite                   // it must be there once
	refusedWrite                        // it must not be there
)

func newLedger() *faultLedger { return &faultLedger{writes: map[faultWrite]writeState{}} }

// begin records a write that is about to be made.
func (l *faultLedger) begin(kind, key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writes[faultWrite{kind, key}] = unknownWrite
}

// end records the answer to a write, 0 for none. A client's mistake has no effect; an answer with 5xx may come after the effect.
func (l *faultLedger) end(kind, key string, status int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case ok:
		l.writes[faultWrite{kind, key}] = acknowledgedWrite
	case status >= 400 && status < 500:
		l.writes[faultWrite{kind, key}] = refusedWrite
	}
}

func (l *faultLedger) countAcknowledged() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, state := range l.writes {
		if state == acknowledgedWrite {
			n++
		}
	}
	return n
}

// compare returns what is wrong with the effects that were found, counted by write: acknowledged writes that are lost, writes
// that happened more than once, and ones that happened though they were refused.
func (l *faultLedger) compare(found map[faultWrite]int) (lost, doubled, unwanted []faultWrite) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for w, state := range l.writes {
		n := found[w]
		switch {
		case n == 0 && state == acknowledgedWrite:
			lost = append(lost, w)
		case n > 1:
			doubled = append(doubled, w)
		case n == 1 && state == refusedWrite:
			unwanted = append(unwanted, w)
		}
	}
	return lost, doubled, unwanted
}

func TestFaultsLedger(t *testing.T) {
	l := newLedger()
	for key, end := range map[string]struct {
		status int
		ok     bool
	}{"kept": {201, true}, "lost": {201, true}, "twice": {201, true}, "open": {503, false}, "open twice": {0, false}, "refused": {409, false}, "refused but done": {409, false}} {
		l.begin(classWrite, key)
		l.end(classWrite, key, end.status, end.ok)
	}
	found := map[faultWrite]int{}
	for key, n := range map[string]int{"kept": 1, "twice": 2, "open": 1, "open twice": 2, "refused but done": 1} {
		found[faultWrite{classWrite, key}] = n
	}
	lost, doubled, unwanted := l.compare(found)
	if len(lost) != 1 || lost[0].key != "lost" || len(doubled) != 2 || len(unwanted) != 1 || unwanted[0].key != "refused but done" || l.countAcknowledged() != 3 {
		t.Errorf("lost %v, doubled %v, unwanted %v, acknowledged %d", lost, doubled, unwanted, l.countAcknowledged())
	}
}

// Effects by the kind and the key of the write that they are of. Each query has the keys' prefix as its argument.
func listEffects() map[string]string {
	return map[string]string{
		classWrite:      `SELECT name, COUNT(*) FROM pgo_school.classes WHERE name LIKE ? GROUP BY name`,
		taskWrite:       `SELECT title, COUNT(*) FROM pgo_task.tasks WHERE title LIKE ? GROUP BY title`,
		submissionWrite: `SELECT content, COUNT(*) FROM (SELECT content FROM pgo_task.submissions UNION ALL SELECT content FROM pgo_task.hand_ins) work WHERE content LIKE ? GROUP BY content`,
		signUpWrite:     `SELECT SUBSTRING_INDEX(email, '@', 1), COUNT(*) FROM pgo_user.users WHERE email LIKE ? GROUP BY email`,
		publishWrite:    `SELECT id, COUNT(*) FROM pgo_task.tasks WHERE status = 'published' AND title LIKE ? GROUP BY id`,
	}
}

// listFaultInvariants returns queries that count effects in other services that are lost, or events that were repeated. Each has
// the keys' prefix as its argument.
func listFaultInvariants() map[string]string {
	return map[string]string{
		"classes that Task does not know": `SELECT COUNT(*) FROM pgo_school.classes c LEFT JOIN pgo_task.view_classes v ON v.id = c.id AND v.deleted = FALSE AND v.name = c.name COLLATE utf8mb4_unicode_ci
			WHERE c.name LIKE ? AND v.id IS NULL`,
		"accounts that School does not know": `SELECT COUNT(*) FROM pgo_user.users u LEFT JOIN pgo_school.people p ON p.user_id = u.id AND p.name = u.name COLLATE utf8mb4_unicode_ci
			WHERE (u.email LIKE ? OR u.name LIKE ?) AND p.user_id IS NULL`,
		"accounts that Task does not know": `SELECT COUNT(*) FROM pgo_user.users u LEFT JOIN pgo_task.people p ON p.id = u.id AND p.name = u.name COLLATE utf8mb4_unicode_ci
			WHERE (u.email LIKE ? OR u.name LIKE ?) AND p.id IS NULL`,
		"accounts whose mail was not sent once": `SELECT COUNT(*) FROM pgo_user.users u WHERE u.email LIKE ?
			AND (SELECT COUNT(*) FROM pgo_user.mail_requests m WHERE m.user_id = u.id AND m.purpose = 'verify' AND m.sent_at IS NOT NULL) <> 1`,
	}
}

// audit compares the databases with what was acknowledged, and fails the test for each difference.
func (r *faultRun) audit(t *testing.T, report *faultReport) {
	t.Helper()
	found, events := r.findEffects(t), r.findEvents(t)
	lost, doubled, unwanted := r.ledger.compare(found)
	lostEvents, doubledEvents, _ := r.ledger.compare(withoutEventless(events, found))
	report.lost, report.repeated = len(lost)+len(lostEvents), len(doubled)+len(doubledEvents)
	for what, writes := range map[string][]faultWrite{
		"acknowledged and not there": lost, "there more than once": doubled, "refused and there": unwanted,
		"acknowledged without an event": lostEvents, "with several events": doubledEvents,
	} {
		if len(writes) > 0 {
			t.Errorf("%d writes %s, such as %v", len(writes), what, writes[0])
		}
	}
	for what, query := range listFaultInvariants() {
		if n := r.count(t, query); n != 0 {
			t.Errorf("%d %s", n, what)
			report.lost += n
		}
	}
	if n := r.countWrongHandIns(t); n != 0 {
		t.Errorf("%d submissions whose events are not their hand-ins", n)
		report.repeated += n
	}
}

// findEffects counts the effects of the writes in the tables of the services.
func (r *faultRun) findEffects(t *testing.T) map[faultWrite]int {
	t.Helper()
	found := map[faultWrite]int{}
	for kind, query := range listEffects() {
		for key, n := range r.countByKey(t, query, r.prefix+"%") {
			found[faultWrite{kind, key}] = n
		}
	}
	// A name is replaced by the next one: only its event stays.
	for w, n := range r.findEvents(t) {
		if w.kind == renameWrite {
			found[w] = n
		}
	}
	return found
}

// withoutEventless returns the events, with the number of effects for writes that have no event with their key.
func withoutEventless(events, effects map[faultWrite]int) map[faultWrite]int {
	all := map[faultWrite]int{}
	for w, n := range effects {
		if w.kind == taskWrite || w.kind == submissionWrite {
			all[w] = n
		}
	}
	for w, n := range events {
		all[w] = n
	}
	return all
}

// findEvents counts the events of the writes by their keys.
func (r *faultRun) findEvents(t *testing.T) map[faultWrite]int {
	t.Helper()
	found := map[faultWrite]int{}
	for _, source := range []struct{ kind, query string }{
		{classWrite, `SELECT envelope FROM pgo_school.pgo_outbox WHERE type = 'class.created.v1'`},
		{signUpWrite, `SELECT envelope FROM pgo_user.pgo_outbox WHERE type = 'user.created.v1'`},
		{renameWrite, `SELECT envelope FROM pgo_user.pgo_outbox WHERE type = 'user.updated.v1'`},
		{publishWrite, `SELECT envelope FROM pgo_task.pgo_outbox WHERE type = 'task.published.v1'`},
	} {
		for _, data := range r.readEvents(t, source.query) {
			key := data.Name
			switch source.kind {
			case signUpWrite:
				key, _, _ = strings.Cut(data.Email, "@")
			case publishWrite:
				key = data.ID
			}
			found[faultWrite{source.kind, key}]++
		}
	}
	return found
}

// eventFields holds what the audit reads of an event's data.
type eventFields struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Email  string `json:"email"`
	TaskID string `json:"task_id"`
	UserID string `json:"user_id"`
}

func (r *faultRun) readEvents(t *testing.T, query string) []eventFields {
	t.Helper()
	rows, err := r.db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []eventFields
	for rows.Next() {
		var envelope []byte
		var e struct {
			Data eventFields `json:"data"`
		}
		if err := rows.Scan(&envelope); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(envelope, &e); err != nil {
			t.Fatal(err)
		}
		all = append(all, e.Data)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// countWrongHandIns counts the submissions that do not have one event for each hand-in.
func (r *faultRun) countWrongHandIns(t *testing.T) int {
	t.Helper()
	events := map[string]int{}
	for _, data := range r.readEvents(t, `SELECT envelope FROM pgo_task.pgo_outbox WHERE type = 'task.submitted.v1'`) {
		events[data.TaskID+data.UserID]++
	}
	wrong := 0
	for id, n := range r.countByKey(t, `SELECT CONCAT(task_id, user_id), hand_ins FROM pgo_task.assignments WHERE hand_ins > 0`) {
		if events[id] != n {
			wrong++
		}
	}
	return wrong
}

// countByKey returns the rows of a query, a key and a number each.
func (r *faultRun) countByKey(t *testing.T, query string, args ...any) map[string]int {
	t.Helper()
	rows, err := r.db.Query(query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	found := map[string]int{}
	for rows.Next() {
		var key string
		var n int
		if err := rows.Scan(&key, &n); err != nil {
			t.Fatal(err)
		}
		found[key] = n
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}

// count returns the number that a query returns, whose arguments are all the prefix of the keys.
func (r *faultRun) count(t *testing.T, query string) int {
	t.Helper()
	var n int
	args := slices.Repeat([]any{r.prefix + "%"}, strings.Count(query, "?"))
	if err := r.db.QueryRow(query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// outboxPositions are the last ids of the outboxes whose events were all handled.
type outboxPositions struct{ user, school int64 }

// readPositions returns the positions of this moment. Every event must have been handled.
func (r *faultRun) readPositions(t *testing.T) outboxPositions {
	t.Helper()
	var p outboxPositions
	err := r.db.QueryRow(`SELECT (SELECT COALESCE(MAX(id), 0) FROM pgo_user.pgo_outbox), (SELECT COALESCE(MAX(id), 0) FROM pgo_school.pgo_outbox)`).Scan(&p.user, &p.school)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// countPending returns how many events and fan-outs wait to be published, handled or done, and how long the oldest has waited.
// Handled events are looked for after a position.
func countPending(db *sql.DB, after outboxPositions) (n int, age time.Duration, err error) {
	const unhandled = ` UNION ALL SELECT o.created_at FROM %s.pgo_outbox o LEFT JOIN %s.pgo_inbox i ON i.consumer = '%s' AND i.event_id = o.event_id
		WHERE o.id > %d AND i.event_id IS NULL AND %s`
	const people = `o.type IN ('user.created.v1', 'user.updated.v1', 'user.disabled.v1', 'user.deleted.v1')`
	query := `SELECT COUNT(*), COALESCE(MAX(TIMESTAMPDIFF(MICROSECOND, created_at, UTC_TIMESTAMP(6))), 0) FROM (
		SELECT created_at FROM pgo_user.pgo_outbox WHERE published_at IS NULL
		UNION ALL SELECT created_at FROM pgo_school.pgo_outbox WHERE published_at IS NULL
		UNION ALL SELECT created_at FROM pgo_task.pgo_outbox WHERE published_at IS NULL
		UNION ALL SELECT next_at FROM pgo_task.fanouts` +
		fmt.Sprintf(unhandled, "pgo_school", "pgo_task", "task.events", after.school, "TRUE") +
		fmt.Sprintf(unhandled, "pgo_user", "pgo_task", "task.events", after.user, people) +
		fmt.Sprintf(unhandled, "pgo_user", "pgo_school", "school.events", after.user, people) +
		fmt.Sprintf(unhandled, "pgo_user", "pgo_user", "user.mailer", after.user, "o.type = 'user.mail_requested.v1'") + `) pending`
	var micros int64
	err = db.QueryRow(query).Scan(&n, &micros)
	return n, time.Duration(micros) * time.Microsecond, err
}
