package main

import (
	"context"
	"fmt"
	"net/http"
)

// person is a user who has signed up and in.
type person struct {
	id, name, email, token string
}

// nameAt is the i-th name; the first 520 differ from one another. They come from everywhere and in more than one
// script: lists have to sort and show them.
func nameAt(i int) string {
	given := []string{"Ada", "Bilal", "Chiara", "Dmitri", "Elif", "Farid", "Grace", "Hana", "Ivo", "Jun", "Kwame", "Léa",
		"Mateo", "Noor", "Oskar", "Priya", "Quynh", "Rosa", "Sven", "Tariq", "Uma", "Viktor", "Wen", "Yara", "Zoë", "明"}
	family := []string{"Adeyemi", "Bauer", "Castro", "Dubois", "Eriksen", "Fischer", "García", "Haddad", "Ivanova", "Jansen",
		"Kowalski", "Lindqvist", "Müller", "Nguyen", "Okafor", "Petrov", "Rossi", "Silva", "Tanaka", "李"}
	return given[i%len(given)] + " " + family[(i+i/len(given))%len(family)]
}

// newPerson signs a user up and in. who becomes a part of the e-mail address.
func (b *builder) newPerson(ctx context.Context, who, name string) (person, error) {
	p := person{name: name, email: fmt.Sprintf("%s.%s@demo.example", who, b.tag)}
	var made struct {
		ID string `json:"id"`
	}
	if err := b.api.call(ctx, http.MethodPost, "/api/v1/auth/register", "",
		map[string]string{"email": p.email, "password": b.password, "name": name}, &made); err != nil {
		return p, err
	}
	p.id = made.ID
	var tokens struct {
		AccessToken string `json:"access_token"`
	}
	if err := b.api.call(ctx, http.MethodPost, "/api/v1/auth/login", "",
		map[string]string{"email": p.email, "password": b.password}, &tokens); err != nil {
		return p, err
	}
	p.token = tokens.AccessToken
	return p, nil
}

// signUpMembers signs up all members: owner, admin, teachers and students.
func (b *builder) signUpMembers(ctx context.Context) (*school, error) {
	s := &school{password: b.password, url: b.api.base, teachers: make([]person, teachers), students: make([]person, students)}
	type place struct {
		who string
		at  *person
	}
	places := []place{{"owner", &s.owner}, {"head", &s.admin}}
	for i := range s.teachers {
		places = append(places, place{fmt.Sprintf("teacher%d", i+1), &s.teachers[i]})
	}
	for i := range s.students {
		places = append(places, place{fmt.Sprintf("student%03d", i+1), &s.students[i]})
	}
	return s, b.progress.runEach(ctx, "people signed up", len(places), func(ctx context.Context, i int) (err error) {
		*places[i].at, err = b.newPerson(ctx, places[i].who, nameAt(i))
		return err
	})
}
