-- min_code_schema: 5
-- +goose Up
ALTER TABLE view_schools ADD COLUMN archived BOOLEAN NOT NULL DEFAULT FALSE;

ALTER TABLE view_classes ADD COLUMN archived BOOLEAN NOT NULL DEFAULT FALSE;
