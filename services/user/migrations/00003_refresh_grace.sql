-- min_code_schema: 1
-- +goose Up
ALTER TABLE refresh_tokens ADD COLUMN successor_salt BINARY(32) NULL;
ALTER TABLE refresh_tokens ADD COLUMN spent_by BINARY(32) NULL;
