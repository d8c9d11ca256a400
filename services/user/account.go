package user

import "time"

// Account is a user under change: locked in the store, with what must happen in the same transaction. The
// store saves the user, ends the sessions and appends the events; nothing of it happens when a rule fails.
type Account struct {
	User
	PasswordHash string

	events        []Event
	isChanged     bool
	isDeleted     bool
	sessionsToEnd SessionSelection
}

// SessionSelection says which sessions of an account a change ends.
type SessionSelection struct {
	All    bool
	Except string // with All: the one that stays, "" for none
}

// NewAccount returns an account that is to be created.
func NewAccount(u User, passwordHash string) *Account {
	a := &Account{User: u, PasswordHash: passwordHash}
	a.addEvent(EventCreated)
	return a
}

// Events returns what to publish, with the user's state after the change.
func (a *Account) Events() []Event {
	for i := range a.events {
		if a.events[i].Data == nil {
			a.events[i].Data = a.User
		}
	}
	return a.events
}

// IsChanged reports whether the user's row must be saved.
func (a *Account) IsChanged() bool { return a.isChanged }

// IsDeleted reports whether the user's row must be removed.
func (a *Account) IsDeleted() bool { return a.isDeleted }

// SessionsToEnd says which sessions must be ended.
func (a *Account) SessionsToEnd() SessionSelection { return a.sessionsToEnd }

func (a *Account) setName(name string, now time.Time) {
	if name != a.Name {
		a.Name = name
		a.markChanged(now)
		a.addEvent(EventUpdated)
	}
}

func (a *Account) setEmailVerified(now time.Time) {
	if !a.EmailVerified {
		a.EmailVerified = true
		a.markChanged(now)
		a.addEvent(EventUpdated)
	}
}

// setPassword ends all sessions but except: whoever knew the old password is out. The store also drops the
// reset tokens that are still good.
func (a *Account) setPassword(hash, except string, now time.Time) {
	a.PasswordHash = hash
	a.markChanged(now)
	a.sessionsToEnd = SessionSelection{All: true, Except: except}
}

// setRole ends all sessions: their tokens carry the old role.
func (a *Account) setRole(role string, now time.Time) {
	if role != a.Role {
		a.Role = role
		a.markChanged(now)
		a.sessionsToEnd = SessionSelection{All: true}
		a.addEvent(EventUpdated)
	}
}

func (a *Account) setStatus(status string, now time.Time) {
	if status == a.Status {
		return
	}
	a.Status = status
	a.markChanged(now)
	if status == StatusDisabled {
		a.sessionsToEnd = SessionSelection{All: true}
		a.addEvent(EventDisabled)
		return
	}
	a.addEvent(EventUpdated)
}

func (a *Account) markDeleted() {
	a.isDeleted = true
	a.sessionsToEnd = SessionSelection{All: true}
	a.events = append(a.events, Event{Type: EventDeleted, Data: DeletedData{ID: a.ID}})
}

func (a *Account) requestMail(purpose string) {
	a.events = append(a.events, Event{Type: EventMailRequested, Data: MailRequestedData{UserID: a.ID, Purpose: purpose}})
}

// addEvent adds an event that carries the whole user; one is enough for several changes, the strongest wins.
func (a *Account) addEvent(typ string) {
	for i, e := range a.events {
		if e.Type == EventUpdated || e.Type == typ {
			a.events[i].Type = typ
			return
		}
		if e.Type == EventDisabled || e.Type == EventCreated {
			return
		}
	}
	a.events = append(a.events, Event{Type: typ})
}

func (a *Account) markChanged(now time.Time) {
	if !a.isChanged {
		a.Version++
	}
	a.isChanged = true
	a.UpdatedAt = now
}

// LosesAdmin reports whether an active admin becomes something less.
func (a *Account) LosesAdmin(before User) bool {
	return before.isActiveAdmin() && (a.isDeleted || !a.isActiveAdmin())
}
