//go:build faults

package e2e

import "net/http"

// Kinds of writes. Each has a key in a field of its own.
const (
	classWrite      = "class"      // its name
	taskWrite       = "task"       // its title
	submissionWrite = "submission" // its content
	renameWrite     = "rename"     // the new name
	signUpWrite     = "sign-up"    // the address
	publishWrite    = "publish"    // the task's id
)

// nextCall returns the request with a number. A third of them write. The rest read, from the caches and from the databases.
func (l *faultLoad) nextCall(n int) faultCall {
	switch {
	case n%200 == 19:
		return l.signUp(n)
	case n%200 == 119:
		return l.signIn(n)
	case n%400 == 259:
		if c, ok := l.publishDraft(); ok {
			return c
		}
	}
	switch n % 20 {
	case 0, 7:
		return l.createClass(n)
	case 3, 13:
		return l.createTask(n)
	case 5, 15:
		if c, ok := l.handIn(n); ok {
			return c
		}
	case 10:
		return l.rename(n)
	}
	return l.read(n)
}

func (l *faultLoad) read(n int) faultCall {
	c := l.run.cast
	student := c.students[n/5%len(c.students)]
	read := faultCall{kind: "read", method: http.MethodGet, token: student.token, want: http.StatusOK}
	switch n % 5 {
	case 0:
		read.path = "/api/v1/users/me"
	case 1:
		read.path = "/api/v1/schools"
	case 2:
		read.path = "/api/v1/classes/" + c.class
	case 3:
		read.path = "/api/v1/tasks/" + c.tasks[n/5%len(c.tasks)]
	default:
		read.path = "/api/v1/tasks?limit=5&class_id=" + c.class
	}
	return read
}

func (l *faultLoad) createClass(n int) faultCall {
	c := l.run.cast
	key := l.run.newKey(n)
	return faultCall{
		kind: classWrite, key: key, method: http.MethodPost, path: "/api/v1/schools/" + c.schools[n/7%len(c.schools)] + "/classes", token: c.owner.token,
		body: map[string]string{"name": key, "grade": "7"}, want: http.StatusCreated,
	}
}

func (l *faultLoad) createTask(n int) faultCall {
	c := l.run.cast
	key := l.run.newKey(n)
	return faultCall{
		kind: taskWrite, key: key, method: http.MethodPost, path: "/api/v1/tasks", token: c.teacher.token,
		body: map[string]any{"class_id": c.class, "title": key, "description": "Read it.", "max_score": 10, "due_at": inDays(1)}, want: http.StatusCreated,
		then: func(a *answer) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.drafts = append(l.drafts, a.text("id"))
		},
	}
}

// publishDraft publishes a task that was acknowledged before. It reports false if there is none.
func (l *faultLoad) publishDraft() (faultCall, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.drafts) == 0 {
		return faultCall{}, false
	}
	id := l.drafts[0]
	l.drafts = l.drafts[1:]
	return faultCall{
		kind: publishWrite, key: id, method: http.MethodPost, path: "/api/v1/tasks/" + id + "/publish", token: l.run.cast.teacher.token, want: http.StatusAccepted,
	}, true
}

// handIn hands in for a student without a request: a person waits for the answer before handing in again. It reports false if
// all students wait.
func (l *faultLoad) handIn(n int) (faultCall, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.free) == 0 {
		return faultCall{}, false
	}
	c := l.run.cast
	who := l.free[0]
	l.free = l.free[1:]
	key := l.run.newKey(n)
	return faultCall{
		kind: submissionWrite, key: key, method: http.MethodPut, path: "/api/v1/tasks/" + c.tasks[n/5%len(c.tasks)] + "/submission", token: c.students[who].token,
		body: map[string]string{"content": key}, want: http.StatusOK,
		done: func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.free = append(l.free, who)
		},
	}, true
}

func (l *faultLoad) rename(n int) faultCall {
	key := l.run.newKey(n)
	return faultCall{
		kind: renameWrite, key: key, method: http.MethodPatch, path: "/api/v1/users/me", token: l.run.cast.students[n/20%len(l.run.cast.students)].token,
		body: map[string]string{"name": key}, want: http.StatusOK,
	}
}

func (l *faultLoad) signUp(n int) faultCall {
	key := l.run.newKey(n)
	return faultCall{
		kind: signUpWrite, key: key, method: http.MethodPost, path: "/api/v1/auth/register",
		body: map[string]string{"email": emailOf(key), "password": password, "name": "Fault"}, want: http.StatusCreated,
	}
}

// emailOf returns the address of the person who signs up with a key.
func emailOf(key string) string { return key + "@example.org" }

// signIn signs in and uses the new token with another service.
func (l *faultLoad) signIn(n int) faultCall {
	visitors := l.run.cast.visitors
	return faultCall{
		kind: "sign-in", method: http.MethodPost, path: "/api/v1/auth/login",
		body: map[string]string{"email": visitors[n/200%len(visitors)].email, "password": password}, want: http.StatusOK,
		then: func(a *answer) {
			next, err := l.send(l.clients[n%len(l.clients)], faultCall{method: http.MethodGet, path: "/api/v1/schools", token: a.text("access_token")})
			if err != nil {
				next.Status = http.StatusGatewayTimeout
			}
			*a = next
		},
	}
}
