package user

import "time"

// Account is a user during a change, locked in the store, together with the effects of the change. The store saves the
// user, ends the sessions and appends the events in one transaction, or does nothing if a rule rejects the change.
type Account struct {
	User         User
	PasswordHash string

	events        []Event
	isChanged     bool
	isDeleted     bool
	sessionsToEnd SessionSelection
}

// SessionSelection selects the sessions of an account that a change ends.
type SessionSelection struct {
	All    bool
	Except string // with All: the id of the session that stays open, "" for none
}

// NewAccount returns an account that the store is to create.
func NewAccount(u User, passwordHash string) *Account {
	a := &Account{User: u, PasswordHash: passwordHash}
	a.addEvent(EventCreated)
	return a
}

// Events returns the events to publish. Those without data of their own carry the user's state after the change.
func (a *Account) Events() []Event {
	for i := range a.events {
		if a.events[i].Data == nil {
			a.events[i].Data = a.User
		}
	}
	return a.events
}

// KeepEvents drops the events for which keep returns false.
func (a *Account) KeepEvents(keep func(Event) bool) {
	var kept []Event
	for _, e := range a.events {
		if keep(e) {
			kept = append(kept, e)
		}
	}
	a.events = kept
}

// IsChanged reports whether the store must save the user's row.
func (a *Account) IsChanged() bool { return a.isChanged }

// IsDeleted reports whether the store must delete the user's row.
func (a *Account) IsDeleted() bool { return a.isDeleted }

// SessionsToEnd returns the sessions that the store must end.
func (a *Account) SessionsToEnd() SessionSelection { return a.sessionsToEnd }

func (a *Account) setName(name string, now time.Time) {
	if name != a.User.Name {
		a.User.Name = name
		a.markChanged(now)
		a.addEvent(EventUpdated)
	}
}

func (a *Account) setLanguage(language string, now time.Time) {
	if language != a.User.Language {
		a.User.Language = language
		a.markChanged(now)
		a.addEvent(EventUpdated)
	}
}

func (a *Account) setEmailVerified(now time.Time) {
	if !a.User.EmailVerified {
		a.User.EmailVerified = true
		a.markChanged(now)
		a.addEvent(EventUpdated)
	}
}

// setPassword sets the password's hash and ends all sessions but except, so that no one who only knew the old password
// stays signed in. The store also deletes the account's unspent reset tokens.
func (a *Account) setPassword(hash, except string, now time.Time) {
	a.PasswordHash = hash
	a.markChanged(now)
	a.requestMail(PurposePasswordChanged)
	a.sessionsToEnd = SessionSelection{All: true, Except: except}
}

// rehash replaces the hash of the same password.
func (a *Account) rehash(hash string, now time.Time) {
	a.PasswordHash = hash
	a.markChanged(now)
}

// setRole sets the role and ends all sessions, since their tokens carry the old role.
func (a *Account) setRole(role string, now time.Time) {
	if role != a.User.Role {
		a.User.Role = role
		a.markChanged(now)
		a.sessionsToEnd = SessionSelection{All: true}
		a.addEvent(EventUpdated)
	}
}

// setStatus sets the status, and ends all sessions if it disables the account.
func (a *Account) setStatus(status string, now time.Time) {
	if status == a.User.Status {
		return
	}
	a.User.Status = status
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
	a.events = append(a.events, Event{Type: EventDeleted, Data: DeletedData{ID: a.User.ID}})
}

// AnnounceNewDevice requests the mail that tells the owner about a sign-in on a new device.
func (a *Account) AnnounceNewDevice() { a.requestMail(PurposeNewDevice) }

func (a *Account) requestMail(purpose string) {
	a.events = append(a.events, Event{Type: EventMailRequested, Data: MailRequestedData{UserID: a.User.ID, Purpose: purpose}})
}

// addEvent adds an event that carries the whole user. One event covers several changes: created and disabled replace
// updated, and nothing replaces them.
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

// markChanged marks the row for saving and increments the version once for all changes.
func (a *Account) markChanged(now time.Time) {
	if !a.isChanged {
		a.User.Version++
	}
	a.isChanged = true
	a.User.UpdatedAt = now
}

// LosesAdmin reports whether the change takes the admin role, the active status or the account from an active admin.
func (a *Account) LosesAdmin(before User) bool {
	return before.isActiveAdmin() && (a.isDeleted || !a.User.isActiveAdmin())
}
