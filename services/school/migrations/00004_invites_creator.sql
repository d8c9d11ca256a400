-- min_code_schema: 2
-- +goose Up
CREATE INDEX invites_creator ON invites (school_id, created_by);
