package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"text/tabwriter"
)

const (
	teachers = 3
	students = 120
	classes  = 6
)

// builder makes one school. tag tells its people from those of another run.
type builder struct {
	api      *api
	progress progress
	tag      string
	password string // everybody's
}

// school holds the created school.
type school struct {
	url, password      string
	id, name           string
	owner, admin       person
	teachers, students []person
	classes            []class
	tasks              map[string]int // how many there are of each status
}

// class is a class with its teacher and its share of the students.
type class struct {
	id, name string
	teacher  person
	students []person
}

// buildSchool makes everything, in the order in which a school would.
func (b *builder) buildSchool(ctx context.Context) (*school, error) {
	s, err := b.signUpMembers(ctx)
	if err != nil {
		return nil, err
	}
	s.name = "Riverside School " + b.tag
	for _, step := range []func(context.Context, *school) error{b.createSchool, b.inviteMembers, b.createClasses, b.setTasks} {
		if err := step(ctx, s); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// createdResource holds the fields that are read from the answer to a creation.
type createdResource struct {
	ID   string `json:"id"`
	Code string `json:"code"`
}

func (b *builder) createSchool(ctx context.Context, s *school) error {
	var m createdResource
	err := b.api.call(ctx, http.MethodPost, "/api/v1/schools", s.owner.token, map[string]string{"name": s.name, "timezone": "Europe/Berlin"}, &m)
	s.id = m.ID
	return err
}

// inviteMembers invites the members by role and has them accept.
func (b *builder) inviteMembers(ctx context.Context, s *school) error {
	for _, group := range []struct {
		role   string
		people []person
	}{{"admin", []person{s.admin}}, {"teacher", s.teachers}, {"student", s.students}} {
		var m createdResource
		if err := b.api.call(ctx, http.MethodPost, "/api/v1/schools/"+s.id+"/invites", s.owner.token,
			map[string]any{"role": group.role, "max_uses": len(group.people), "expires_at": formatTimeIn(7 * day)}, &m); err != nil {
			return err
		}
		if err := b.progress.runEach(ctx, group.role+" invites accepted", len(group.people), func(ctx context.Context, i int) error {
			return b.api.call(ctx, http.MethodPost, "/api/v1/invites/"+m.Code+"/accept", group.people[i].token, nil, nil)
		}); err != nil {
			return err
		}
	}
	return nil
}

// createClasses makes the classes; each teacher has two, each student is in one.
func (b *builder) createClasses(ctx context.Context, s *school) error {
	share := students / classes
	for i := range classes {
		grade := 5 + i/2
		c := class{name: fmt.Sprintf("%d%c", grade, 'A'+rune(i%2)), teacher: s.teachers[i%teachers], students: s.students[i*share : (i+1)*share]}
		var m createdResource
		if err := b.api.call(ctx, http.MethodPost, "/api/v1/schools/"+s.id+"/classes", s.admin.token, map[string]any{"name": c.name, "grade": strconv.Itoa(grade)}, &m); err != nil {
			return err
		}
		c.id = m.ID
		if err := b.addMember(ctx, s.admin, c.id, c.teacher, "teacher"); err != nil {
			return err
		}
		s.classes = append(s.classes, c)
	}
	return b.progress.runEach(ctx, "students in classes", students, func(ctx context.Context, i int) error {
		c := s.classes[i/share]
		return b.addMember(ctx, c.teacher, c.id, s.students[i], "student")
	})
}

func (b *builder) addMember(ctx context.Context, by person, class string, who person, role string) error {
	return b.api.call(ctx, http.MethodPut, "/api/v1/classes/"+class+"/members/"+who.id, by.token, map[string]string{"role": role}, nil)
}

// printSummary tells what there is and how to sign in. adminPassword is the file with the platform admin's, where there is one.
func (s *school) printSummary(w io.Writer, admin bool, adminPassword string) error {
	total := 0
	for _, n := range s.tasks {
		total += n
	}
	fmt.Fprintf(w, "\n%s (%s) has %d teachers, %d students, %d classes and %d tasks (%d draft, %d published, %d closed).\n",
		s.name, s.id, len(s.teachers), len(s.students), len(s.classes), total, s.tasks["draft"], s.tasks["published"], s.tasks["closed"])
	fmt.Fprintf(w, "Sign in at %s/swagger/ (user, POST /auth/login) as\n\n", s.url)
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "WHO\tE-MAIL\tPASSWORD")
	if admin {
		fmt.Fprintf(t, "platform admin\tadmin@pgo.local\tcat %s\n", adminPassword)
	}
	for _, row := range []struct {
		who string
		person
	}{{"owner", s.owner}, {"school admin", s.admin}, {"teacher of " + s.listClassesOf(s.teachers[0]), s.teachers[0]}, {"student of " + s.classes[0].name, s.students[0]}} {
		fmt.Fprintf(t, "%s\t%s\t%s\n", row.who, row.email, s.password)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nThe password is everybody's. The others are teacher2, teacher3 and student002 to student%03d, with what follows the same.\n", students)
	return err
}

func (s *school) listClassesOf(teacher person) string {
	var names string
	for _, c := range s.classes {
		if c.teacher.id == teacher.id {
			if names != "" {
				names += " and "
			}
			names += c.name
		}
	}
	return names
}
