package school

import (
	"context"
	"maps"
	"slices"
)

// Person holds the fields of a user's events that this service keeps.
type Person struct {
	UserID   string
	Name     string
	Sequence int64 // of the event
}

// PeopleStore keeps the names of people, and tombstones of deleted accounts. Each method is one transaction. It has its
// effect once, however often the event is delivered, and no effect if a newer event about the person was handled.
type PeopleStore interface {
	// RenamePerson sets the person's name in all memberships.
	RenamePerson(ctx context.Context, eventID string, p Person) error
	// ForgetPerson keeps a tombstone and calls leave for each of the person's schools with the school locked. It may call
	// leave again after a deadlock.
	ForgetPerson(ctx context.Context, eventID string, p Person, leave func(Tx, Member) error) error
}

// People keeps names and memberships up to date with User's events. It is safe for concurrent use.
type People struct {
	Store   PeopleStore
	Schools *Service
}

// UpdatePerson handles an event that carries a person's name. It cuts a name that is too long to store.
func (p *People) UpdatePerson(ctx context.Context, eventID string, who Person) error {
	who.Name = cutName(who.Name)
	return p.Store.RenamePerson(ctx, eventID, who)
}

// RemovePerson handles the deletion of an account: the person leaves every school and class. It returns the ids of the
// schools that became ownerless, in order.
func (p *People) RemovePerson(ctx context.Context, eventID string, who Person) ([]string, error) {
	orphans := map[string]bool{}
	err := p.Store.ForgetPerson(ctx, eventID, who, func(tx Tx, m Member) error {
		ownerless, err := p.Schools.removeDeletedUser(tx, m)
		orphans[m.SchoolID] = ownerless
		return err
	})
	maps.DeleteFunc(orphans, func(_ string, ownerless bool) bool { return !ownerless })
	return slices.Sorted(maps.Keys(orphans)), err
}
