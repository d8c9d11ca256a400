package school

import (
	"slices"

	"pgo/pkg/problem"
)

// Caller identifies the person who makes a call.
type Caller struct {
	UserID          string
	IsPlatformAdmin bool
}

// permissions describes what a caller may do in a school.
type permissions struct {
	role         string // "" if the caller is not a member
	actsForOwner bool   // a platform admin in an ownerless school: may see it, give it an owner and delete it
}

// permissionsIn returns the caller's permissions in s, given the caller's role as a member. It returns a not_found problem
// if the caller may not know that the school exists.
func (c Caller) permissionsIn(s School, role string) (permissions, error) {
	perms := permissions{role: role, actsForOwner: c.IsPlatformAdmin && s.Ownerless}
	if perms.role == "" && !perms.actsForOwner {
		return perms, problem.NotFound()
	}
	return perms, nil
}

// requirePermission returns a forbidden problem unless ok. It is for what a member may see but not do.
func requirePermission(ok bool) error {
	if !ok {
		return problem.Forbidden()
	}
	return nil
}

// hasRole reports whether the caller is a member of the school with one of the roles.
func (s permissions) hasRole(roles ...string) bool { return slices.Contains(roles, s.role) }

// mayManage reports whether the caller may manage the school: its data, members, classes and invites.
func (s permissions) mayManage() bool { return s.hasRole(RoleOwner, RoleAdmin) }

// mayDelete reports whether the caller may delete the school.
func (s permissions) mayDelete() bool { return s.hasRole(RoleOwner) || s.actsForOwner }

// mayInvite reports whether the caller may invite people as members with the role.
func (s permissions) mayInvite(role string) bool {
	return s.mayManage() || s.hasRole(RoleTeacher) && role == RoleStudent
}

// invitableRoles returns the roles that people may be invited with by a member who has the role.
func invitableRoles(role string) []string {
	return slices.DeleteFunc([]string{RoleAdmin, RoleTeacher, RoleStudent}, func(as string) bool { return !permissions{role: role}.mayInvite(as) })
}

// mayChangeRole reports whether the caller may change a member's role from was to becomes.
func (s permissions) mayChangeRole(was, becomes string) bool {
	return s.hasRole(RoleOwner) || s.actsForOwner || s.hasRole(RoleAdmin) && was != RoleOwner && becomes != RoleOwner
}

// mayRemove reports whether the caller may remove another member who has the role.
func (s permissions) mayRemove(role string) bool {
	return s.hasRole(RoleOwner) || s.hasRole(RoleAdmin) && role != RoleOwner
}

func isSchoolRole(role string) bool {
	return slices.Contains([]string{RoleOwner, RoleAdmin, RoleTeacher, RoleStudent}, role)
}

func isClassRole(role string) bool { return role == RoleTeacher || role == RoleStudent }
