// Package view is what Task knows of schools, classes, their members and people, from School's and User's events or
// from an export of School's state.
//
// Events come at least once and in any order. What each says carries the number of its aggregate's change: what is not
// newer than what is known is ignored, and what was deleted or removed is remembered as that, so that a late event does
// not bring it back. An event about a member may come before that about their class.
package view

// School is a school as an event or the export tells it.
type School struct {
	ID       string
	Name     string
	Deleted  bool
	Sequence int64 // of the school, as are those of its members
}

// Member is somebody's part in a school.
type Member struct {
	SchoolID string
	UserID   string
	Role     string // owner, admin, teacher or student
	Removed  bool
	Sequence int64 // of the school
}

// Class is a class as an event or the export tells it.
type Class struct {
	ID       string
	SchoolID string
	Name     string
	Deleted  bool
	Sequence int64 // of the class, as are those of its members
}

// ClassMember is somebody's part in a class.
type ClassMember struct {
	ClassID  string
	SchoolID string
	UserID   string
	Role     string // teacher or student
	Removed  bool
	Sequence int64 // of the class
}

// Person is somebody's name.
type Person struct {
	ID       string
	Name     string
	Deleted  bool
	Sequence int64
}
