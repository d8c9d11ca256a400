-- min_code_schema: 6
-- +goose Up
-- For tables of grades: NULL until an event or an export has it.
ALTER TABLE people ADD COLUMN email VARCHAR(320) NULL;

ALTER TABLE view_schools ADD COLUMN timezone VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL;
