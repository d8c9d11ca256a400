package school

import (
	"context"
	"maps"
	"slices"
)

// Person is what this service keeps of a user's events.
type Person struct {
	UserID   string
	Name     string
	Sequence int64 // of the event
}

// PeopleStore keeps names, and tombstones of those who are gone. Each method is one transaction, which has its effect
// once however often the event comes, and none when something newer is known of the person.
type PeopleStore interface {
	// RenamePerson gives the person their name, everywhere.
	RenamePerson(ctx context.Context, eventID string, p Person) error
	// ForgetPerson keeps a tombstone and calls leave for each of the person's schools, which is locked. leave may be called
	// again after a deadlock.
	ForgetPerson(ctx context.Context, eventID string, p Person, leave func(Tx, Member) error) error
}

// People follows what User says of people. Safe for concurrent use.
type People struct {
	Store   PeopleStore
	Schools *Service
}

// UpdatePerson handles an event that tells a person's name.
func (p *People) UpdatePerson(ctx context.Context, eventID string, who Person) error {
	who.Name = cutName(who.Name)
	return p.Store.RenamePerson(ctx, eventID, who)
}

// RemovePerson handles the end of an account: the person leaves every school and class. It returns the schools that nobody
// owns now.
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
