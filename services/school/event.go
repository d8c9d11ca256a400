package school

import "time"

// Types of the events that this service publishes; the routing keys on the exchange. Their contract is here, with
// the publisher: consumers decode structs of their own. The subject and the sequence are those of the school for
// school.*, and those of the class for class.*. A school that is deleted takes its members and classes with it, a
// class its members, without events of their own.
const (
	EventCreated       = "school.created.v1"        // School
	EventUpdated       = "school.updated.v1"        // School
	EventDeleted       = "school.deleted.v1"        // DeletedData
	EventMemberAdded   = "school.member_added.v1"   // MemberData
	EventMemberChanged = "school.member_changed.v1" // MemberData
	EventMemberRemoved = "school.member_removed.v1" // MemberData, with the last role

	EventClassCreated       = "class.created.v1"        // Class
	EventClassUpdated       = "class.updated.v1"        // Class
	EventClassDeleted       = "class.deleted.v1"        // ClassDeletedData
	EventClassMemberAdded   = "class.member_added.v1"   // ClassMemberData; also when the role has changed
	EventClassMemberRemoved = "class.member_removed.v1" // ClassMemberData, with the last role
)

// DeletedData is the data of school.deleted.v1.
type DeletedData struct {
	ID string `json:"id"`
}

// MemberData is the data of the events about a school's members. It has no name: that is User's to tell.
type MemberData struct {
	SchoolID  string    `json:"school_id"`
	UserID    string    `json:"user_id"`
	Role      string    `json:"role"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// NewMemberData returns what an event says of m.
func NewMemberData(m Member) MemberData {
	return MemberData{SchoolID: m.SchoolID, UserID: m.UserID, Role: m.Role, CreatedAt: m.CreatedAt, UpdatedAt: m.UpdatedAt}
}

// ClassDeletedData is the data of class.deleted.v1.
type ClassDeletedData struct {
	ID       string `json:"id"`
	SchoolID string `json:"school_id"`
}

// ClassMemberData is the data of the events about a class's members.
type ClassMemberData struct {
	ClassID   string    `json:"class_id"`
	SchoolID  string    `json:"school_id"`
	UserID    string    `json:"user_id"`
	Role      string    `json:"role"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// NewClassMemberData returns what an event says of m.
func NewClassMemberData(m ClassMember) ClassMemberData {
	return ClassMemberData{ClassID: m.ClassID, SchoolID: m.SchoolID, UserID: m.UserID, Role: m.Role, CreatedAt: m.CreatedAt, UpdatedAt: m.UpdatedAt}
}
