package school

import "pgo/pkg/problem"

// Problems that callers can get, besides validation_failed, forbidden, not_found and precondition_failed.
var (
	ErrLastOwner         = problem.New(problem.KindConflict, "last_owner", "This is the school's last owner. Make another one first.")
	ErrAlreadyMember     = problem.New(problem.KindConflict, "already_member", "You are a member of this school already.")
	ErrNotASchoolMember  = problem.New(problem.KindConflict, "not_a_school_member", "This person is not a member of the class's school.")
	ErrInviteExpired     = problem.New(problem.KindGone, "invite_expired", "This invite is over. Ask for a new one.")
	ErrInviteUsedUp      = problem.New(problem.KindGone, "invite_used_up", "This invite was used as often as it may be. Ask for a new one.")
	ErrRemovedFromSchool = problem.New(problem.KindForbidden, "removed_from_school", "You were removed from this school after this invite was made. Ask for a new one.")
	ErrAccountDeleted    = problem.Unauthenticated("This account is deleted.")
	errTeacherIsAStudent = problem.Field{Field: "role", Code: "not_allowed", Message: "a student of the school cannot be a class's teacher"}
	errUnknownRole       = problem.Field{Field: "role", Code: "not_allowed", Message: "must be owner, admin, teacher or student"}
	errUnknownInviteRole = problem.Field{Field: "role", Code: "not_allowed", Message: "must be admin, teacher or student: owners are made of members"}
	errUnknownClassRole  = problem.Field{Field: "role", Code: "not_allowed", Message: "must be teacher or student"}
	errSchoolOrClassName = problem.Field{Field: "name", Code: "invalid_name", Message: "must have 1 to 100 characters on one line"}
	errGrade             = problem.Field{Field: "grade", Code: "invalid_grade", Message: "must have at most 20 characters on one line"}
	errConfirmation      = problem.Field{Field: "name", Code: "not_confirmed", Message: "must be the name of what would be archived, exactly"}
	errTimezone          = problem.Field{Field: "timezone", Code: "invalid_timezone", Message: "must be a time zone of the IANA database, such as Europe/Berlin"}
	errInviteUses        = problem.Field{Field: "max_uses", Code: "out_of_range", Message: "must be a number from 1 to 10000"}
	errInviteExpiresAt   = problem.Field{Field: "expires_at", Code: "out_of_range", Message: "must be a time in the future and before the year 9999"}
)
