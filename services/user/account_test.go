package user

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func TestAccountChanges(t *testing.T) {
	for _, tc := range []struct {
		name    string
		change  func(a *Account)
		events  []string
		version int64
		end     SessionSelection
	}{
		{"nothing", func(*Account) {}, nil, 7, SessionSelection{}},
		{"the same again", func(a *Account) { a.setName("Ada", noon); a.setRole(RoleUser, noon); a.setStatus(StatusActive, noon) }, nil, 7, SessionSelection{}},
		{"name", func(a *Account) { a.setName("Eve", noon) }, []string{EventUpdated}, 8, SessionSelection{}},
		{"verified", func(a *Account) { a.setEmailVerified(noon) }, []string{EventUpdated}, 8, SessionSelection{}},
		{"verified twice", func(a *Account) { a.setEmailVerified(noon); a.setEmailVerified(noon) }, []string{EventUpdated}, 8, SessionSelection{}},
		{"role", func(a *Account) { a.setRole(RoleAdmin, noon) }, []string{EventUpdated}, 8, SessionSelection{All: true}},
		{"disabled", func(a *Account) { a.setStatus(StatusDisabled, noon) }, []string{EventDisabled}, 8, SessionSelection{All: true}},
		{"enabled", func(a *Account) { a.User.Status = StatusDisabled; a.setStatus(StatusActive, noon) }, []string{EventUpdated}, 8, SessionSelection{}},
		{"all at once, disabled last", func(a *Account) {
			a.setName("Eve", noon)
			a.setRole(RoleAdmin, noon)
			a.setStatus(StatusDisabled, noon)
		}, []string{EventDisabled}, 8, SessionSelection{All: true}},
		{"all at once, disabled first", func(a *Account) { a.setStatus(StatusDisabled, noon); a.setName("Eve", noon) }, []string{EventDisabled}, 8, SessionSelection{All: true}},
		{"password", func(a *Account) { a.setPassword("new", "s1", noon) }, []string{EventMailRequested}, 8, SessionSelection{All: true, Except: "s1"}},
		{"reset", func(a *Account) { a.setPassword("new", "", noon); a.setEmailVerified(noon) }, []string{EventMailRequested, EventUpdated}, 8, SessionSelection{All: true}},
		{"deleted", func(a *Account) { a.markDeleted() }, []string{EventDeleted}, 7, SessionSelection{All: true}},
		{"mail", func(a *Account) { a.requestMail(PurposeReset) }, []string{EventMailRequested}, 7, SessionSelection{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := &Account{User: User{ID: "u1", Name: "Ada", Role: RoleUser, Status: StatusActive, Version: 7}, PasswordHash: "old-hash"}
			tc.change(a)
			var types []string
			for _, e := range a.Events() {
				types = append(types, e.Type)
				text, err := json.Marshal(e.Data)
				if err != nil || strings.Contains(string(text), "hash") {
					t.Errorf("%s carries %s, %v", e.Type, text, err)
				}
				if u, ok := e.Data.(User); ok && u != a.User {
					t.Errorf("%s carries %+v, not the state after the change", e.Type, u)
				}
			}
			if !slices.Equal(types, tc.events) || a.User.Version != tc.version || a.SessionsToEnd() != tc.end || a.IsChanged() != (tc.version == 8) {
				t.Errorf("got events %v, version %d, sessions %+v, changed %v", types, a.User.Version, a.SessionsToEnd(), a.IsChanged())
			}
		})
	}
}

func TestNewAccountEmitsCreatedFirst(t *testing.T) {
	a := NewAccount(User{ID: "u1"}, "hash")
	a.requestMail(PurposeVerify)
	if e := a.Events(); len(e) != 2 || e[0].Type != EventCreated || e[0].Data != any(a.User) || e[1].Data != any(MailRequestedData{UserID: "u1", Purpose: PurposeVerify}) {
		t.Errorf("got %+v", e)
	}
}

func TestLosesAdmin(t *testing.T) {
	admin := User{Role: RoleAdmin, Status: StatusActive}
	for _, tc := range []struct {
		name   string
		before User
		change func(a *Account)
		want   bool
	}{
		{"stays", admin, func(a *Account) { a.setName("x", noon) }, false},
		{"demoted", admin, func(a *Account) { a.setRole(RoleUser, noon) }, true},
		{"disabled", admin, func(a *Account) { a.setStatus(StatusDisabled, noon) }, true},
		{"deleted", admin, func(a *Account) { a.markDeleted() }, true},
		{"a user", User{Role: RoleUser, Status: StatusActive}, func(a *Account) { a.markDeleted() }, false},
		{"a disabled admin", User{Role: RoleAdmin, Status: StatusDisabled}, func(a *Account) { a.markDeleted() }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := &Account{User: tc.before}
			tc.change(a)
			if got := a.LosesAdmin(tc.before); got != tc.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
