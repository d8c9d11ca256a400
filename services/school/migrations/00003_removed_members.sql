-- min_code_schema: 2
-- +goose Up
-- Who was removed from a school by another person, and when: invites from before do not let them in again.
CREATE TABLE removed_members (
  school_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  user_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  removed_at DATETIME(6) NOT NULL,
  PRIMARY KEY (school_id, user_id),
  KEY removed_members_user (user_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
