package school

import (
	"slices"

	"pgo/pkg/problem"
)

// Caller is who makes a call.
type Caller struct {
	UserID        string
	IsPlatformAdmin bool
}

// permissions is what a caller is in a school.
type permissions struct {
	role      string // "" for one who is no member
	isPlatformAdmin bool   // a platform admin in an ownerless school: sees it, gives it an owner, or deletes it
}

// permissionsIn returns the caller's standing, given the role as a member. not_found for one who may not know of the school.
func (c Caller) permissionsIn(s School, role string) (permissions, error) {
	st := permissions{role: role, isPlatformAdmin: c.IsPlatformAdmin && s.Ownerless}
	if st.role == "" && !st.isPlatformAdmin {
		return st, problem.NotFound()
	}
	return st, nil
}

// requirePermission returns forbidden unless ok: for what a member may see and not do.
func requirePermission(ok bool) error {
	if !ok {
		return problem.Forbidden()
	}
	return nil
}

// hasRole reports whether the caller is a member with one of the roles.
func (s permissions) hasRole(roles ...string) bool { return slices.Contains(roles, s.role) }

// mayManage reports whether the caller runs the school.
func (s permissions) mayManage() bool { return s.hasRole(RoleOwner, RoleAdmin) }

// mayDelete reports whether the caller may delete the school.
func (s permissions) mayDelete() bool { return s.hasRole(RoleOwner) || s.isPlatformAdmin }

// mayInvite reports whether the caller may let people in with the role.
func (s permissions) mayInvite(role string) bool {
	return s.mayManage() || s.hasRole(RoleTeacher) && role == RoleStudent
}

// mayChangeRole reports whether the caller may change a member's role.
func (s permissions) mayChangeRole(was, becomes string) bool {
	return s.hasRole(RoleOwner) || s.isPlatformAdmin || s.hasRole(RoleAdmin) && was != RoleOwner && becomes != RoleOwner
}

// mayRemove reports whether the caller may remove somebody else with the role.
func (s permissions) mayRemove(role string) bool {
	return s.hasRole(RoleOwner) || s.hasRole(RoleAdmin) && role != RoleOwner
}

func isSchoolRole(role string) bool {
	return slices.Contains([]string{RoleOwner, RoleAdmin, RoleTeacher, RoleStudent}, role)
}

func isClassRole(role string) bool { return role == RoleTeacher || role == RoleStudent }
