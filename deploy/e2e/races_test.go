package e2e

import (
	"database/sql"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"pgo/pkg/testing/testkit"
)

// runRaces sends calls at the same time that compete for the same rows, through the gateway, and then compares the databases of the
// three services.
func runRaces(t *testing.T, s *stack) {
	r := &racers{t: t, s: s, owner: s.newPerson(t, "Owner"), teacher: s.newPerson(t, "Teacher"), pupils: s.somePupils(t, 25)}
	r.school = s.newSchool(t, r.owner)
	s.join(t, r.school, r.owner, "teacher", r.teacher)
	for _, race := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"50 accepts of an invite with one use", r.acceptOneUse},
		{"an invite while its maker is removed", r.acceptWhileMakerLeaves},
		{"the last two owners leave", r.lastOwners},
		{"20 publications of a task", r.publishAtOnce},
		{"students come and go while a task is published and handed in", r.churnMembers},
		{"a class is archived while its tasks are assigned", r.archiveWhileAssigning},
		{"a class is archived and restored at once", r.archiveAndRestore},
		{"20 changes of one version", r.changeOneVersion},
		{"20 refreshes of one token", r.refreshAtOnce},
		{"someone is put into a class 20 times", r.enrolAtOnce},
		{"students leave the school, and teachers become students, while they are put into a class", r.enrolWhileLeaving},
		{"people change their names while they join", r.renameWhileJoining},
		{"people delete their accounts while they join and hand in", r.deleteAccountsWhileJoining},
		{"a draft is published and deleted at once", r.publishWhileDeleting},
		{"a task is closed while a class hands in", r.closeWhileHandingIn},
		{"20 hand-ins of the same work", r.handInAtOnce},
		{"20 grades of one hand-in", r.gradeAtOnce},
		{"an archived class is purged while its task is assigned", r.purgeClassWhileAssigning},
		{"an archived school is purged while a task is assigned", r.purgeSchoolWhileAssigning},
	} {
		t.Run(race.name, race.run)
	}
	assertConsistent(t, s)
}

// racers are the people of the races and their school.
type racers struct {
	t              testing.TB
	s              *stack
	owner, teacher person
	pupils         []person
	school         string
}

// raceCall is a call and who makes it.
type raceCall struct {
	method, path string
	by           person
	body         any
	ifMatch      string
}

// atOnce makes the calls at the same time, and returns the number of answers with each status.
func (r *racers) atOnce(t *testing.T, calls ...raceCall) map[int]int {
	t.Helper()
	var (
		all      sync.WaitGroup
		mu       sync.Mutex
		statuses = map[int]int{}
		start    = make(chan struct{})
	)
	for _, c := range calls {
		all.Go(func() {
			<-start
			a, err := r.s.callIf(c.ifMatch, c.method, c.path, c.by.token, c.body)
			if err != nil {
				t.Errorf("%s %s: %v", c.method, c.path, err)
			}
			if a.Status >= 500 {
				t.Errorf("%s %s: got %d %s", c.method, c.path, a.Status, a.Body)
			}
			mu.Lock()
			defer mu.Unlock()
			statuses[a.Status]++
		})
	}
	close(start)
	all.Wait()
	return statuses
}

func (r *racers) acceptOneUse(t *testing.T) {
	code := r.s.newInvite(t, r.school, r.owner, "student", 1)
	var calls []raceCall
	for range 2 {
		for _, p := range r.pupils {
			calls = append(calls, raceCall{method: "POST", path: "/api/v1/invites/" + code + "/accept", by: p})
		}
	}
	if got := r.atOnce(t, calls...); got[201] != 1 || got[409] != 1 || got[410] != 48 {
		t.Errorf("the statuses are %v, want one 201, one 409 of the same person, and 48 times 410", got)
	}
}

func (r *racers) acceptWhileMakerLeaves(t *testing.T) {
	maker := r.s.newPerson(t, "Maker")
	school := r.s.newSchool(t, r.owner)
	r.s.join(t, school, r.owner, "admin", maker)
	code := r.s.newInvite(t, school, maker, "admin", 100)
	calls := []raceCall{{method: "DELETE", path: "/api/v1/schools/" + school + "/members/" + maker.id, by: r.owner}}
	for _, p := range r.pupils {
		calls = append(calls, raceCall{method: "POST", path: "/api/v1/invites/" + code + "/accept", by: p})
	}
	if got := r.atOnce(t, calls...); got[204] != 1 || got[201]+got[404] != len(r.pupils) {
		t.Errorf("the statuses are %v", got)
	}
	r.s.want(t, 404, "POST", "/api/v1/invites/"+code+"/accept", maker.token, nil)
}

func (r *racers) lastOwners(t *testing.T) {
	for range 5 {
		school, second := r.s.newSchool(t, r.owner), r.teacher
		r.s.join(t, school, r.owner, "admin", second)
		r.s.want(t, 200, "PATCH", "/api/v1/schools/"+school+"/members/"+second.id, r.owner.token, map[string]string{"role": "owner"})
		members := "/api/v1/schools/" + school + "/members/"
		got := r.atOnce(t, raceCall{method: "DELETE", path: members + r.owner.id, by: r.owner}, raceCall{method: "DELETE", path: members + second.id, by: second},
			raceCall{method: "PATCH", path: members + r.owner.id, by: second, body: map[string]string{"role": "student"}})
		if got[200]+got[204] < 1 {
			t.Errorf("the statuses are %v, want one that succeeds", got)
		}
	}
}

// newClass makes a class with the teacher and the pupils, who become members of the school where they are not.
func (r *racers) newClass(t *testing.T) string {
	t.Helper()
	code := r.s.newInvite(t, r.school, r.owner, "student", 100)
	for _, p := range r.pupils {
		if a, err := r.s.call("POST", "/api/v1/invites/"+code+"/accept", p.token, nil); err != nil || a.Status != 201 && a.Status != 409 {
			t.Fatalf("got %d %s, %v", a.Status, a.Body, err)
		}
	}
	class := r.s.newClass(t, r.school, r.owner)
	r.s.enrol(t, class, r.owner, "teacher", r.teacher)
	r.s.enrol(t, class, r.owner, "student", r.pupils...)
	return class
}

func (r *racers) publishAtOnce(t *testing.T) {
	task := r.s.newTask(t, r.newClass(t), r.teacher)
	calls := slices.Repeat([]raceCall{{method: "POST", path: "/api/v1/tasks/" + task + "/publish", by: r.teacher}}, 20)
	if got := r.atOnce(t, calls...); got[202] != 1 || got[409] != 19 {
		t.Errorf("the statuses are %v, want one 202 and 19 times 409", got)
	}
}

// churnMembers publishes, hands in, grades and closes while each pupil leaves the class and returns.
func (r *racers) churnMembers(t *testing.T) {
	class := r.newClass(t)
	tasks := []string{r.s.newTask(t, class, r.teacher), r.s.newTask(t, class, r.teacher)}
	r.s.publish(t, tasks[0], r.teacher, len(r.pupils))
	calls := []raceCall{{method: "POST", path: "/api/v1/tasks/" + tasks[1] + "/publish", by: r.teacher}}
	for i, p := range r.pupils {
		member, task := "/api/v1/classes/"+class+"/members/"+p.id, "/api/v1/tasks/"+tasks[0]
		calls = append(calls,
			raceCall{method: "DELETE", path: member, by: r.owner}, raceCall{method: "PUT", path: member, by: r.owner, body: map[string]string{"role": "student"}},
			raceCall{method: "PUT", path: task + "/submission", by: p, body: map[string]any{"content": fmt.Sprint("draft ", i), "draft": true}},
			raceCall{method: "PUT", path: task + "/submission", by: p, body: map[string]any{"content": fmt.Sprint("work ", i)}},
			raceCall{method: "PUT", path: task + "/submission", by: p, body: map[string]any{"content": fmt.Sprint("better work ", i)}},
			raceCall{method: "PUT", path: task + "/submissions/" + p.id + "/grade", by: r.teacher, body: map[string]any{"score": i % 10}})
	}
	r.atOnce(t, calls...)
	r.atOnce(t, raceCall{method: "POST", path: "/api/v1/tasks/" + tasks[0] + "/close", by: r.teacher},
		raceCall{method: "PUT", path: "/api/v1/tasks/" + tasks[0] + "/submission", by: r.pupils[0], body: aSubmission()})
}

// archiveWhileAssigning archives a class right after the publication of its task, and restores it: the work is there.
func (r *racers) archiveWhileAssigning(t *testing.T) {
	class := r.newClass(t)
	task := r.s.newTask(t, class, r.teacher)
	path := "/api/v1/classes/" + class
	r.atOnce(t, raceCall{method: "POST", path: "/api/v1/tasks/" + task + "/publish", by: r.teacher}, raceCall{method: "DELETE", path: path, by: r.owner, body: map[string]string{"name": "7A"}})
	r.s.want(t, 200, "POST", path+"/restore", r.owner.token, nil)
	testkit.Eventually(t, "the task is there again", func() error {
		_, err := r.s.expect(200, "GET", "/api/v1/tasks/"+task, r.teacher.token, nil)
		return err
	})
	if a, err := r.s.call("POST", "/api/v1/tasks/"+task+"/publish", r.teacher.token, nil); err != nil || a.Status != 202 && a.Status != 409 {
		t.Errorf("got %d %s, %v", a.Status, a.Body, err)
	}
}

// listInvariants returns queries that count what must not be, over the databases of the three services.
func listInvariants() map[string]string {
	return map[string]string{
		"invites that were used too often": `SELECT COUNT(*) FROM pgo_school.invites WHERE uses > max_uses`,
		"schools without an owner":         `SELECT COUNT(*) FROM pgo_school.schools s WHERE ownerless = FALSE AND NOT EXISTS (SELECT 1 FROM pgo_school.school_members m WHERE m.school_id = s.id AND m.role = 'owner')`,
		"members of a class who are not members of the school": `SELECT COUNT(*) FROM pgo_school.class_members c
			LEFT JOIN pgo_school.school_members m ON m.school_id = c.school_id AND m.user_id = c.user_id WHERE m.user_id IS NULL`,
		"teachers of a class who are students of the school": `SELECT COUNT(*) FROM pgo_school.class_members c
			JOIN pgo_school.school_members m ON m.school_id = c.school_id AND m.user_id = c.user_id WHERE c.role = 'teacher' AND m.role = 'student'`,
		"members whose account was deleted":       `SELECT COUNT(*) FROM pgo_school.school_members m JOIN pgo_school.people p ON p.user_id = m.user_id WHERE p.deleted`,
		"members whose name is not the account's": `SELECT COUNT(*) FROM pgo_school.school_members m JOIN pgo_user.users u ON u.id = m.user_id WHERE m.name <> u.name COLLATE utf8mb4_unicode_ci`,
		"members of a class whom Task does not know": `SELECT COUNT(*) FROM pgo_school.class_members m JOIN pgo_school.classes c ON c.id = m.class_id
			LEFT JOIN pgo_task.view_class_members v ON v.class_id = m.class_id AND v.user_id = m.user_id AND v.role = m.role AND v.removed = FALSE WHERE v.user_id IS NULL`,
		"members of a class whom only Task knows": `SELECT COUNT(*) FROM pgo_task.view_class_members v JOIN pgo_task.view_classes c ON c.id = v.class_id AND c.deleted = FALSE
			LEFT JOIN pgo_school.class_members m ON m.class_id = v.class_id AND m.user_id = v.user_id WHERE v.removed = FALSE AND m.user_id IS NULL`,
		"classes that were deleted in School alone": `SELECT COUNT(*) FROM pgo_task.view_classes v LEFT JOIN pgo_school.classes c ON c.id = v.id WHERE v.deleted = FALSE AND c.id IS NULL`,
		"schools that are known to one service alone": `SELECT (SELECT COUNT(*) FROM pgo_task.view_schools v LEFT JOIN pgo_school.schools s ON s.id = v.id WHERE v.deleted = FALSE AND s.id IS NULL)
			+ (SELECT COUNT(*) FROM pgo_school.schools s LEFT JOIN pgo_task.view_schools v ON v.id = s.id AND v.deleted = FALSE AND v.archived = (s.archived_at IS NOT NULL) WHERE v.id IS NULL)`,
		"rows of schools that were deleted": `SELECT (SELECT COUNT(*) FROM pgo_school.deleted_schools)
			+ (SELECT COUNT(*) FROM pgo_school.school_members m LEFT JOIN pgo_school.schools s ON s.id = m.school_id WHERE s.id IS NULL)
			+ (SELECT COUNT(*) FROM pgo_school.classes c LEFT JOIN pgo_school.schools s ON s.id = c.school_id WHERE s.id IS NULL)
			+ (SELECT COUNT(*) FROM pgo_school.class_members m LEFT JOIN pgo_school.classes c ON c.id = m.class_id WHERE c.id IS NULL)
			+ (SELECT COUNT(*) FROM pgo_school.invites i LEFT JOIN pgo_school.schools s ON s.id = i.school_id WHERE s.id IS NULL)`,
		"rows of classes that were deleted": `SELECT (SELECT COUNT(*) FROM pgo_task.tasks t JOIN pgo_task.view_classes c ON c.id = t.class_id WHERE c.deleted)
			+ (SELECT COUNT(*) FROM pgo_task.view_class_members m JOIN pgo_task.view_classes c ON c.id = m.class_id WHERE c.deleted)
			+ (SELECT COUNT(*) FROM pgo_task.assignments a LEFT JOIN pgo_task.tasks t ON t.id = a.task_id WHERE t.id IS NULL)
			+ (SELECT COUNT(*) FROM pgo_task.submissions s LEFT JOIN pgo_task.assignments a ON a.task_id = s.task_id AND a.user_id = s.user_id WHERE a.user_id IS NULL)
			+ (SELECT COUNT(*) FROM pgo_task.hand_ins h LEFT JOIN pgo_task.assignments a ON a.task_id = h.task_id AND a.user_id = h.user_id WHERE a.user_id IS NULL)`,
		"schools, classes and accounts whose deletion was published several times": `SELECT COUNT(*) FROM (
			SELECT subject FROM pgo_school.pgo_outbox WHERE type IN ('school.deleted.v1', 'class.deleted.v1') GROUP BY subject HAVING COUNT(*) > 1
			UNION ALL SELECT subject FROM pgo_user.pgo_outbox WHERE type = 'user.deleted.v1' GROUP BY subject HAVING COUNT(*) > 1) twice`,
		"classes that are archived in one service alone": `SELECT COUNT(*) FROM pgo_school.classes c LEFT JOIN pgo_task.view_classes v ON v.id = c.id AND v.archived = (c.archived_at IS NOT NULL) AND v.deleted = FALSE WHERE v.id IS NULL`,
		"students without a published task of their class": `SELECT COUNT(*) FROM pgo_task.tasks t JOIN pgo_task.view_classes c ON c.id = t.class_id AND c.deleted = FALSE
			JOIN pgo_task.view_class_members m ON m.class_id = t.class_id AND m.removed = FALSE AND m.role = 'student'
			LEFT JOIN pgo_task.assignments a ON a.task_id = t.id AND a.user_id = m.user_id AND a.withdrawn = FALSE WHERE t.status = 'published' AND a.user_id IS NULL`,
		"open assignments of people who are not students of the class": `SELECT COUNT(*) FROM pgo_task.assignments a
			LEFT JOIN pgo_task.view_class_members m ON m.class_id = a.class_id AND m.user_id = a.user_id AND m.removed = FALSE AND m.role = 'student'
			WHERE a.status = 'assigned' AND a.withdrawn = FALSE AND m.user_id IS NULL`,
		"tasks with wrong counts": `SELECT COUNT(*) FROM (SELECT t.id FROM pgo_task.tasks t LEFT JOIN pgo_task.assignments a ON a.task_id = t.id AND a.withdrawn = FALSE
			GROUP BY t.id, t.assigned_count, t.submitted_count, t.graded_count HAVING t.assigned_count <> COUNT(a.user_id)
			OR t.submitted_count <> COALESCE(SUM(a.status <> 'assigned'), 0) OR t.graded_count <> COALESCE(SUM(a.status = 'graded'), 0)) wrong`,
		"hand-ins that were lost": `SELECT COUNT(*) FROM pgo_task.assignments a WHERE a.hand_ins > 0
			AND a.hand_ins <> 1 + (SELECT COUNT(*) FROM pgo_task.hand_ins h WHERE h.task_id = a.task_id AND h.user_id = a.user_id)`,
		"tasks with no or several events of their publication": `SELECT COUNT(*) FROM pgo_task.tasks t WHERE t.status <> 'draft'
			AND (SELECT COUNT(*) FROM pgo_task.pgo_outbox o WHERE o.subject = t.id AND o.type = 'task.published.v1') <> 1`,
		"fan-outs that have not ended":   `SELECT COUNT(*) FROM pgo_task.fanouts`,
		"events that were not published": `SELECT (SELECT COUNT(*) FROM pgo_user.pgo_outbox WHERE published_at IS NULL) + (SELECT COUNT(*) FROM pgo_school.pgo_outbox WHERE published_at IS NULL) + (SELECT COUNT(*) FROM pgo_task.pgo_outbox WHERE published_at IS NULL)`,
		"events of User that School has not handled": `SELECT COUNT(*) FROM pgo_user.pgo_outbox o LEFT JOIN pgo_school.pgo_inbox i ON i.consumer = 'school.events' AND i.event_id = o.event_id
			WHERE o.type IN ('user.created.v1', 'user.updated.v1', 'user.disabled.v1', 'user.deleted.v1') AND i.event_id IS NULL`,
		"events of School that Task has not handled": `SELECT COUNT(*) FROM pgo_school.pgo_outbox o LEFT JOIN pgo_task.pgo_inbox i ON i.consumer = 'task.events' AND i.event_id = o.event_id WHERE i.event_id IS NULL`,
	}
}

// openDatabases returns a connection to the databases of the three services, which ends with the test.
func openDatabases(t *testing.T, s *stack) *sql.DB {
	t.Helper()
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr, cfg.User, cfg.Passwd = "tcp", s.env(t)["MYSQL_ADDR"], "pgo_admin", s.secret("mysql_admin_password")
	cfg.Timeout, cfg.ReadTimeout = 5*time.Second, 30*time.Second
	db, err := sql.Open("mysql", cfg.FormatDSN())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// assertConsistent waits until all events are handled, and fails the test for each invariant that does not hold then.
func assertConsistent(t *testing.T, s *stack) {
	t.Helper()
	db := openDatabases(t, s)
	count := func(query string) (int, error) {
		var n int
		err := db.QueryRow(query).Scan(&n)
		return n, err
	}
	all := listInvariants()
	// What follows from an event of User comes before what follows from School's.
	for _, pending := range []string{"events of User that School has not handled", "events that were not published", "events of School that Task has not handled",
		"fan-outs that have not ended", "rows of schools that were deleted", "rows of classes that were deleted"} {
		testkit.Eventually(t, "there are no "+pending, func() error {
			n, err := count(all[pending])
			if err == nil && n > 0 {
				err = fmt.Errorf("%d left", n)
			}
			return err
		})
	}
	for what, query := range all {
		if n, err := count(query); err != nil || n != 0 {
			t.Errorf("%d %s, %v", n, what, err)
		}
	}
	s.noDeadLetters(t)
}
