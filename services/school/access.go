package school

import (
	"slices"

	"pgo/pkg/problem"
)

// Caller is who makes a call.
type Caller struct {
	UserID        string
	PlatformAdmin bool
}

// standing is what a caller is in a school.
type standing struct {
	role      string // "" for one who is no member
	custodian bool   // a platform admin in an ownerless school: sees it, gives it an owner, or deletes it
}

// in returns the caller's standing, given the role as a member. not_found for one who may not know of the school.
func (c Caller) in(s School, role string) (standing, error) {
	st := standing{role: role, custodian: c.PlatformAdmin && s.Ownerless}
	if st.role == "" && !st.custodian {
		return st, problem.NotFound()
	}
	return st, nil
}

// must returns forbidden unless ok: for what a member may see and not do.
func must(ok bool) error {
	if !ok {
		return problem.Forbidden()
	}
	return nil
}

// is reports whether the caller is a member with one of the roles.
func (s standing) is(roles ...string) bool { return slices.Contains(roles, s.role) }

// manages reports whether the caller runs the school.
func (s standing) manages() bool { return s.is(RoleOwner, RoleAdmin) }

// mayDelete reports whether the caller may delete the school.
func (s standing) mayDelete() bool { return s.is(RoleOwner) || s.custodian }

// mayInvite reports whether the caller may let people in with the role.
func (s standing) mayInvite(role string) bool {
	return s.manages() || s.is(RoleTeacher) && role == RoleStudent
}

// mayMakeOf reports whether the caller may change a member's role.
func (s standing) mayMakeOf(was, becomes string) bool {
	return s.is(RoleOwner) || s.custodian || s.is(RoleAdmin) && was != RoleOwner && becomes != RoleOwner
}

// mayRemove reports whether the caller may remove somebody else with the role.
func (s standing) mayRemove(role string) bool {
	return s.is(RoleOwner) || s.is(RoleAdmin) && role != RoleOwner
}

func isRole(role string) bool {
	return slices.Contains([]string{RoleOwner, RoleAdmin, RoleTeacher, RoleStudent}, role)
}

func isClassRole(role string) bool { return role == RoleTeacher || role == RoleStudent }
