// Package school is the domain of the School service: schools, their members and classes, and the invites through which
// people become members.
//
// It knows nothing of HTTP, SQL or AMQP. The interfaces that it needs are defined here and implemented by the adapter in
// store. Errors that a caller may see are problems.
package school

import "time"

// Roles in a school. A class has only teachers and students.
const (
	RoleOwner   = "owner"
	RoleAdmin   = "admin"
	RoleTeacher = "teacher"
	RoleStudent = "student"
)

// School is an organization that people are members of.
type School struct {
	ID        string    `json:"id"` // UUIDv7
	Name      string    `json:"name"`
	Timezone  string    `json:"timezone" example:"Europe/Berlin"` // of the IANA database
	Ownerless bool      `json:"ownerless"`                        // its last owner's account was deleted and it had no admin
	Version   int64     `json:"version"`                          // grows with each change; the entity tag
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	// ArchivedAt is the time at which the school was archived, null otherwise. See KeepArchived.
	ArchivedAt *time.Time `json:"archived_at"`
}

// KeepArchived is the time for which an archived school or class can be restored. Then it is deleted.
const KeepArchived = 30 * 24 * time.Hour

// SchoolWithRole is a school with the caller's role in it.
type SchoolWithRole struct {
	School
	MyRole string `json:"my_role" enums:"owner,admin,teacher,student"`
}

// Member is a person in a school.
type Member struct {
	SchoolID  string    `json:"school_id"`
	UserID    string    `json:"user_id"`
	Name      *string   `json:"name"` // null while it is not known
	Role      string    `json:"role" enums:"owner,admin,teacher,student"`
	Version   int64     `json:"version"` // grows with each change of the membership; the entity tag
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Class is a class of a school.
type Class struct {
	ID        string    `json:"id"` // UUIDv7
	SchoolID  string    `json:"school_id"`
	Name      string    `json:"name"`
	Grade     string    `json:"grade" example:"7"` // may be empty
	Version   int64     `json:"version"`           // grows with each change; the entity tag
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	// ArchivedAt is the time at which the class was archived, null otherwise. See KeepArchived.
	ArchivedAt *time.Time `json:"archived_at"`
}

// ClassMember is a person in a class.
type ClassMember struct {
	ClassID   string    `json:"class_id"`
	SchoolID  string    `json:"school_id"`
	UserID    string    `json:"user_id"`
	Name      *string   `json:"name"` // null while it is not known
	Role      string    `json:"role" enums:"teacher,student"`
	Version   int64     `json:"version"` // grows with each change of the membership; the entity tag
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Invite makes people who have its code members of a school.
type Invite struct {
	ID        string    `json:"-"` // UUIDv7: the order of lists
	Code      string    `json:"code"`
	SchoolID  string    `json:"school_id"`
	Role      string    `json:"role" enums:"admin,teacher,student"`
	MaxUses   int       `json:"max_uses"`
	Uses      int       `json:"uses"`
	ExpiresAt time.Time `json:"expires_at"`
	CreatedBy string    `json:"created_by"`
	CreatedAt time.Time `json:"created_at"`
}
