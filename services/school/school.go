// Package school is the domain of the School service: schools, who is in them as what, their classes, and the
// invites that let people in.
//
// It knows nothing of HTTP, SQL or AMQP. What it needs of them is said in interfaces here, which the adapter in
// store implements. Errors that a caller may see are problems.
package school

import "time"

// Roles in a school. In a class there are teachers and students only.
const (
	RoleOwner   = "owner"
	RoleAdmin   = "admin"
	RoleTeacher = "teacher"
	RoleStudent = "student"
)

// School is what people are members of.
type School struct {
	ID        string    `json:"id"` // UUIDv7
	Name      string    `json:"name"`
	Timezone  string    `json:"timezone" example:"Europe/Berlin"` // of the IANA database
	Ownerless bool      `json:"ownerless"`                        // its last owner deleted the account and no admin could follow
	Version   int64     `json:"version"`                          // grows with each change; the entity tag
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

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
}

// FindClassMember is a person in a class.
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

// Invite lets people who have its code into a school.
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
