-- min_code_schema: 3
-- +goose Up
ALTER TABLE tasks ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
