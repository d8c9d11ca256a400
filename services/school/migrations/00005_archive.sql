-- min_code_schema: 4
-- +goose Up
-- Since when a school or class is archived: it can be restored for a while, and is then deleted.
ALTER TABLE schools ADD COLUMN archived_at DATETIME(6) NULL;

CREATE INDEX schools_archived ON schools (archived_at);

ALTER TABLE classes ADD COLUMN archived_at DATETIME(6) NULL;

CREATE INDEX classes_archived ON classes (archived_at);
