package user

import "time"

// Account is a user under change: locked in the store, with what must happen in the same transaction. The
// store saves the user, ends the sessions and appends the events; nothing of it happens when a rule fails.
type Account struct {
	User
	PasswordHash string

	events  []Event
	changed bool
	deleted bool
	end     Sessions
}

// Sessions says which sessions of an account a change ends.
type Sessions struct {
	All    bool
	Except string // with All: the one that stays, "" for none
}

// NewAccount returns an account that is to be created.
func NewAccount(u User, passwordHash string) *Account {
	a := &Account{User: u, PasswordHash: passwordHash}
	a.emit(EventCreated)
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

// Changed reports whether the user's row must be saved.
func (a *Account) Changed() bool { return a.changed }

// Deleted reports whether the user's row must be removed.
func (a *Account) Deleted() bool { return a.deleted }

// EndSessions says which sessions must be ended.
func (a *Account) EndSessions() Sessions { return a.end }

func (a *Account) rename(name string, now time.Time) {
	if name != a.Name {
		a.Name = name
		a.touch(now)
		a.emit(EventUpdated)
	}
}

func (a *Account) verifyEmail(now time.Time) {
	if !a.EmailVerified {
		a.EmailVerified = true
		a.touch(now)
		a.emit(EventUpdated)
	}
}

// setPassword ends all sessions but except: whoever knew the old password is out. The store also drops the
// reset tokens that are still good.
func (a *Account) setPassword(hash, except string, now time.Time) {
	a.PasswordHash = hash
	a.touch(now)
	a.end = Sessions{All: true, Except: except}
}

// setRole ends all sessions: their tokens carry the old role.
func (a *Account) setRole(role string, now time.Time) {
	if role != a.Role {
		a.Role = role
		a.touch(now)
		a.end = Sessions{All: true}
		a.emit(EventUpdated)
	}
}

func (a *Account) setStatus(status string, now time.Time) {
	if status == a.Status {
		return
	}
	a.Status = status
	a.touch(now)
	if status == StatusDisabled {
		a.end = Sessions{All: true}
		a.emit(EventDisabled)
		return
	}
	a.emit(EventUpdated)
}

func (a *Account) delete() {
	a.deleted = true
	a.end = Sessions{All: true}
	a.events = append(a.events, Event{Type: EventDeleted, Data: DeletedData{ID: a.ID}})
}

func (a *Account) requestMail(purpose string) {
	a.events = append(a.events, Event{Type: EventMailRequested, Data: MailRequestedData{UserID: a.ID, Purpose: purpose}})
}

// emit adds an event that carries the whole user; one is enough for several changes, the strongest wins.
func (a *Account) emit(typ string) {
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

func (a *Account) touch(now time.Time) {
	if !a.changed {
		a.Version++
	}
	a.changed = true
	a.UpdatedAt = now
}

// LosesAdmin reports whether an active admin becomes something less.
func (a *Account) LosesAdmin(before User) bool {
	return before.isActiveAdmin() && (a.deleted || !a.isActiveAdmin())
}
