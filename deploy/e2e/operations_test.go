package e2e

// request holds the arguments of a row's call beside its operation.
type request struct {
	path map[string]string // what stands for the names in braces
	body any
	as   *person // who makes it, where that is not the column's usual person
	// spoils says that what was prepared is no longer as the table's page says, also when the call is refused.
	spoils bool
}

// operations knows for each row of the table how to make its call.
func operations() map[string]func(w *world, who string) request {
	all := map[string]func(*world, string) request{}
	for service, rows := range map[string]map[string]func(*world, string) request{"user": userOperations(), "school": schoolOperations(), "task": taskOperations()} {
		for name, prepare := range rows {
			all[service+": "+name] = prepare
		}
	}
	return all
}

func userOperations() map[string]func(w *world, who string) request {
	plain := func(body any) func(*world, string) request {
		return func(*world, string) request { return request{body: body} }
	}
	onAccount := func(body any) func(*world, string) request {
		return func(w *world, _ string) request {
			return request{path: map[string]string{"id": w.account()}, body: body}
		}
	}
	// another is a session beside the one whose token is used everywhere, to be ended.
	another := func(w *world, who string) *person {
		p := *w.people[who]
		if w.signedIn(who) {
			w.s.signIn(w.t, &p)
		}
		return &p
	}
	return map[string]func(*world, string) request{
		"GET /.well-known/jwks.json": plain(nil),
		"POST /auth/register a new address": func(*world, string) request {
			return request{body: map[string]string{"email": newEmail(), "password": password, "name": "New"}}
		},
		"POST /auth/login one's own account": func(w *world, who string) request {
			email := w.people[who].email
			if email == "" {
				email = newEmail()
			}
			return request{body: map[string]string{"email": email, "password": password}}
		},
		"POST /auth/refresh one's own token": func(w *world, who string) request {
			return request{body: map[string]string{"refresh_token": another(w, who).refresh}}
		},
		"POST /auth/logout":  func(w *world, who string) request { return request{as: another(w, who)} },
		"GET /auth/sessions": plain(nil),
		"DELETE /auth/sessions/{id} one's own": func(w *world, who string) request {
			if !w.signedIn(who) {
				return request{path: map[string]string{"id": w.people["user"].id}}
			}
			return request{path: map[string]string{"id": w.session(another(w, who))}}
		},
		"DELETE /auth/sessions/{id} somebody else's": func(w *world, _ string) request {
			return request{path: map[string]string{"id": w.session(&w.classmate)}}
		},
		"GET /auth/email/verify":                     plain(nil),
		"GET /auth/password/reset":                   plain(nil),
		"POST /auth/email/verify no such token":      plain(map[string]string{"token": "none"}),
		"POST /auth/email/resend":                    plain(nil),
		"POST /auth/password/forgot no such address": plain(map[string]string{"email": "nobody@example.org"}),
		"POST /auth/password/reset no such token":    plain(map[string]string{"token": "none", "password": password}),
		"GET /users/me":                              plain(nil),
		"PATCH /users/me":                            plain(map[string]string{"name": "New name"}),
		"DELETE /users/me": func(w *world, who string) request {
			return request{as: w.spareAccount(who), body: map[string]string{"password": password}}
		},
		"PUT /users/me/password": func(w *world, who string) request {
			return request{as: w.spareAccount(who), body: map[string]string{"current_password": password, "new_password": "another " + password}}
		},
		"GET /users":         plain(nil),
		"GET /users/{id}":    onAccount(nil),
		"PATCH /users/{id}":  onAccount(map[string]string{"name": "New name"}),
		"DELETE /users/{id}": onAccount(nil),
	}
}

// session returns the id of the session that the person's token is of.
func (w *world) session(p *person) string {
	w.t.Helper()
	list := w.s.want(w.t, 200, "GET", "/api/v1/auth/sessions?limit=100", p.token, nil)
	items, _ := list.JSON["items"].([]any)
	for _, item := range items {
		if session, _ := item.(map[string]any); session["current"] == true {
			id, _ := session["id"].(string)
			return id
		}
	}
	w.t.Fatalf("no session of its own in %s", list.Body)
	return ""
}

func schoolOperations() map[string]func(w *world, who string) request {
	// on is a call on the school that all are in.
	on := func(body any) func(*world, string) request {
		return func(w *world, _ string) request {
			return request{path: map[string]string{"id": w.school().id}, body: body}
		}
	}
	onOwnerless := func(body any) func(*world, string) request {
		return func(w *world, _ string) request {
			return request{path: map[string]string{"id": w.ownerless().id}, body: body}
		}
	}
	invite := func(role string) func(*world, string) request {
		return on(map[string]any{"role": role, "max_uses": 1, "expires_at": inDays(1)})
	}
	code := func(w *world, _ string) request {
		return request{path: map[string]string{"code": w.school().invite}}
	}
	member := func(who func(*world, string) string, body any) func(*world, string) request {
		return func(w *world, caller string) request {
			school := w.school()
			return request{path: map[string]string{"id": school.id, "user_id": who(w, caller)}, body: body}
		}
	}
	newcomer := func(w *world, _ string) string { return w.newcomer.id }
	anotherOwner := func(w *world, _ string) string {
		w.s.want(w.t, 200, "PATCH", "/api/v1/schools/"+w.school().id+"/members/"+w.colleague.id, w.people["owner"].token, map[string]string{"role": "owner"})
		return w.colleague.id
	}
	spoiling := func(prepare func(*world, string) request) func(*world, string) request {
		return func(w *world, who string) request {
			r := prepare(w, who)
			r.spoils = true
			return r
		}
	}
	oneself := func(w *world, caller string) string {
		if id := w.people[caller].id; id != "" {
			return id
		}
		return w.newcomer.id
	}
	class := func(body any) func(*world, string) request {
		return func(w *world, _ string) request {
			return request{path: map[string]string{"id": w.school().class}, body: body}
		}
	}
	others := func(body any) func(*world, string) request {
		return func(w *world, _ string) request {
			return request{path: map[string]string{"id": w.school().others}, body: body}
		}
	}
	in := func(class func(*aSchool) string, who func(*world) string, body any) func(*world, string) request {
		return func(w *world, _ string) request {
			return request{path: map[string]string{"id": class(w.school()), "user_id": who(w)}, body: body}
		}
	}
	theirs, foreign := func(s *aSchool) string { return s.class }, func(s *aSchool) string { return s.others }
	role := func(r string) map[string]string { return map[string]string{"role": r} }
	confirmed := func(name string) map[string]string { return map[string]string{"name": name} }
	// archived archives what the path names before the call.
	archived := func(prepare func(*world, string) request, what func(*world) (path, name string)) func(*world, string) request {
		return func(w *world, who string) request {
			r := prepare(w, who)
			path, name := what(w)
			w.s.want(w.t, 204, "DELETE", path, w.people["owner"].token, confirmed(name))
			r.spoils = true
			return r
		}
	}
	aSchool, aClass := map[string]string{"name": "Mine", "timezone": "UTC"}, map[string]string{"name": "8B", "grade": "8"}
	return map[string]func(*world, string) request{
		"POST /schools":                           func(*world, string) request { return request{body: aSchool} },
		"GET /schools":                            func(*world, string) request { return request{} },
		"GET /schools/{id}":                       on(nil),
		"GET /schools/{id} ownerless":             onOwnerless(nil),
		"PATCH /schools/{id}":                     on(map[string]string{"name": "New name"}),
		"PATCH /schools/{id} ownerless":           onOwnerless(map[string]string{"name": "New name"}),
		"DELETE /schools/{id}":                    on(confirmed("School")),
		"POST /schools/{id}/restore":              archived(on(nil), func(w *world) (string, string) { return "/api/v1/schools/" + w.school().id, "School" }),
		"DELETE /schools/{id} ownerless":          onOwnerless(confirmed("School")),
		"POST /schools/{id}/invites for students": invite("student"),
		"POST /schools/{id}/invites for teachers": invite("teacher"),
		"POST /schools/{id}/invites for admins":   invite("admin"),
		"GET /schools/{id}/invites":               on(nil),
		"DELETE /invites/{code}":                  code,
		"POST /invites/{code}/accept":             code,
		"GET /schools/{id}/members":               on(nil),

		"PATCH /schools/{id}/members/{user_id} a student":           member(newcomer, role("teacher")),
		"PATCH /schools/{id}/members/{user_id} a student, to owner": member(newcomer, role("owner")),
		"PATCH /schools/{id}/members/{user_id} another owner":       spoiling(member(anotherOwner, role("teacher"))),
		"PATCH /schools/{id}/members/{user_id} ownerless, a teacher, to owner": func(w *world, _ string) request {
			return request{path: map[string]string{"id": w.ownerless().id, "user_id": w.colleague.id}, body: role("owner")}
		},
		"DELETE /schools/{id}/members/{user_id} a student":     member(newcomer, nil),
		"DELETE /schools/{id}/members/{user_id} another owner": spoiling(member(anotherOwner, nil)),
		"DELETE /schools/{id}/members/{user_id} oneself":       member(oneself, nil),

		"POST /schools/{id}/classes":                                   on(aClass),
		"GET /schools/{id}/classes":                                    on(nil),
		"GET /classes/{id}":                                            class(nil),
		"GET /classes/{id} of others":                                  others(nil),
		"PATCH /classes/{id}":                                          class(aClass),
		"PATCH /classes/{id} of others":                                others(aClass),
		"DELETE /classes/{id}":                                         class(confirmed("7A")),
		"POST /classes/{id}/restore":                                   archived(class(nil), func(w *world) (string, string) { return "/api/v1/classes/" + w.school().class, "7A" }),
		"GET /classes/{id}/members":                                    class(nil),
		"GET /classes/{id}/members of others":                          others(nil),
		"PUT /classes/{id}/members/{user_id} a new one":                in(theirs, func(w *world) string { return w.newcomer.id }, role("student")),
		"PUT /classes/{id}/members/{user_id} who is in it":             in(theirs, func(w *world) string { return w.classmate.id }, role("student")),
		"PUT /classes/{id}/members/{user_id} who is not in the school": in(theirs, func(w *world) string { return w.people["user"].id }, role("student")),
		"PUT /classes/{id}/members/{user_id} of others":                in(foreign, func(w *world) string { return w.newcomer.id }, role("student")),
		"DELETE /classes/{id}/members/{user_id}":                       in(theirs, func(w *world) string { return w.classmate.id }, nil),
		"DELETE /classes/{id}/members/{user_id} of others":             in(foreign, func(w *world) string { return w.colleague.id }, nil),
	}
}

func taskOperations() map[string]func(w *world, who string) request {
	draft, published, closed := func(t *someTasks) string { return t.draft }, func(t *someTasks) string { return t.published }, func(t *someTasks) string { return t.closed }
	on := func(which func(*someTasks) string, body any) func(*world, string) request {
		return func(w *world, _ string) request {
			return request{path: map[string]string{"id": which(w.some()), "user_id": w.people["student"].id}, body: body}
		}
	}
	handIn := func(which func(*someTasks) string) func(*world, string) request {
		return func(w *world, _ string) request {
			return request{path: map[string]string{"id": which(w.some()), "user_id": w.people["student"].id, "number": "1"}}
		}
	}
	grade, change := map[string]any{"score": 7, "feedback": "Good."}, map[string]string{"title": "Chapter 4"}
	return map[string]func(*world, string) request{
		"POST /tasks": func(w *world, _ string) request {
			w.some() // Task knows the class from here on
			return request{body: aTask(w.class)}
		},
		"POST /tasks for a class of others": func(w *world, _ string) request {
			w.some()
			return request{body: aTask(w.theirs)}
		},
		"GET /tasks":                                            func(*world, string) request { return request{} },
		"GET /tasks/{id} draft":                                 on(draft, nil),
		"GET /tasks/{id} published":                             on(published, nil),
		"GET /tasks/{id} closed":                                on(closed, nil),
		"PATCH /tasks/{id} draft":                               on(draft, change),
		"PATCH /tasks/{id} published":                           on(published, change),
		"DELETE /tasks/{id} draft":                              on(draft, nil),
		"DELETE /tasks/{id} published":                          on(published, nil),
		"POST /tasks/{id}/publish draft":                        on(draft, nil),
		"POST /tasks/{id}/publish published":                    on(published, nil),
		"POST /tasks/{id}/close draft":                          on(draft, nil),
		"POST /tasks/{id}/close published":                      on(published, nil),
		"GET /tasks/{id}/assignments published":                 on(published, nil),
		"PUT /tasks/{id}/submission draft":                      on(draft, aSubmission()),
		"PUT /tasks/{id}/submission published":                  on(published, aSubmission()),
		"PUT /tasks/{id}/submission closed":                     on(closed, aSubmission()),
		"GET /tasks/{id}/submission published":                  on(published, nil),
		"GET /tasks/{id}/submissions published":                 on(published, nil),
		"GET /tasks/{id}/submissions/{user_id} published":       on(published, nil),
		"PUT /tasks/{id}/submissions/{user_id}/grade published": on(published, grade),
		"PUT /tasks/{id}/submissions/{user_id}/grade not handed in": func(w *world, _ string) request {
			return request{path: map[string]string{"id": w.some().published, "user_id": w.classmate.id}, body: grade}
		},
		"GET /tasks/{id}/submission/hand-ins published":                     on(published, nil),
		"GET /tasks/{id}/submission/hand-ins/{number} published":            handIn(published),
		"GET /tasks/{id}/submissions/{user_id}/hand-ins published":          on(published, nil),
		"GET /tasks/{id}/submissions/{user_id}/hand-ins/{number} published": handIn(published),
		"PUT /tasks/{id}/extensions/{user_id} published":                    on(published, map[string]any{"due_at": inDays(30)}),
		"DELETE /tasks/{id}/extensions/{user_id} published":                 on(published, nil),
		"GET /tasks/{id}/stats published":                                   on(published, nil),
		"GET /tasks/{id}/grades.csv published":                              on(published, nil),
	}
}
