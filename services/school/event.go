package school

import "time"

// Types of the events that this service publishes. They are also the routing keys on the exchange. The contract of the
// events is defined here, with the publisher: consumers decode into structs of their own. The subject and the sequence
// of school.* events are those of the school, and those of class.* events are those of the class. The deletion of a
// school also deletes its members and classes, and that of a class its members, without events of their own. It comes when
// the time to restore what was archived is over.
const (
	EventCreated       = "school.created.v1"        // School
	EventUpdated       = "school.updated.v1"        // School; also when it was archived or restored
	EventDeleted       = "school.deleted.v1"        // DeletedData
	EventMemberAdded   = "school.member_added.v1"   // MemberData
	EventMemberChanged = "school.member_changed.v1" // MemberData
	EventMemberRemoved = "school.member_removed.v1" // MemberData, with the last role

	EventClassCreated       = "class.created.v1"        // Class
	EventClassUpdated       = "class.updated.v1"        // Class; also when it was archived or restored
	EventClassDeleted       = "class.deleted.v1"        // ClassDeletedData
	EventClassMemberAdded   = "class.member_added.v1"   // ClassMemberData; also when the role has changed
	EventClassMemberRemoved = "class.member_removed.v1" // ClassMemberData, with the last role
)

// DeletedData is the data of school.deleted.v1.
type DeletedData struct {
	ID string `json:"id"`
}

// MemberData is the data of the events about a school's members. It has no name, which only User's events carry.
type MemberData struct {
	SchoolID  string    `json:"school_id"`
	UserID    string    `json:"user_id"`
	Role      string    `json:"role"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// NewMemberData returns the data of an event about m.
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

// NewClassMemberData returns the data of an event about m.
func NewClassMemberData(m ClassMember) ClassMemberData {
	return ClassMemberData{ClassID: m.ClassID, SchoolID: m.SchoolID, UserID: m.UserID, Role: m.Role, CreatedAt: m.CreatedAt, UpdatedAt: m.UpdatedAt}
}
