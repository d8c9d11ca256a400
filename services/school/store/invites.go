package store

import (
	"fmt"

	"gorm.io/gorm"

	"pgo/pkg/mysql"
	"pgo/services/school"
)

// FindInvite implements school.View.
func (t *tx) FindInvite(code string) (school.Invite, error) {
	var row inviteRow
	err := t.rows().Take(&row, "code = ? AND school_id = ?", code, t.school.ID).Error
	return row.toInvite(), mysql.WrapNotFound(err, "read invite")
}

// AddInvite implements school.Tx.
func (t *tx) AddInvite(i school.Invite) error {
	row := inviteRow(i)
	if err := t.db.Create(&row).Error; err != nil {
		return fmt.Errorf("insert invite: %w", err)
	}
	return nil
}

// UseInvite implements school.Tx.
func (t *tx) UseInvite(i school.Invite) error {
	return mysql.RequireOneRow(t.db.Model(&inviteRow{}).Where("id = ? AND uses < max_uses", i.ID).UpdateColumn("uses", gorm.Expr("uses + 1")), "use invite")
}

// DeleteInvitesOf implements school.Tx.
func (t *tx) DeleteInvitesOf(userID string, keptRoles []string) error {
	q := t.db.Where("school_id = ? AND created_by = ?", t.school.ID, userID)
	if len(keptRoles) > 0 {
		q = q.Where("role NOT IN ?", keptRoles)
	}
	return mysql.Wrap(q.Delete(&inviteRow{}).Error, "delete a person's invites")
}

// DeleteInvite implements school.Tx.
func (t *tx) DeleteInvite(i school.Invite) error {
	return mysql.RequireOneRow(t.db.Where("id = ?", i.ID).Delete(&inviteRow{}), "delete invite")
}
