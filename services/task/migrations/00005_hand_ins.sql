-- min_code_schema: 4
-- +goose Up
-- What a student handed in and replaced later. The last hand-in is in submissions.
CREATE TABLE hand_ins (
  task_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  user_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  number INT NOT NULL,
  content MEDIUMTEXT NOT NULL,
  submitted_at DATETIME(6) NOT NULL,
  PRIMARY KEY (task_id, user_id, number)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- The number of hand-ins; 0 for work that was handed in before they were counted.
ALTER TABLE assignments ADD COLUMN hand_ins INT NOT NULL DEFAULT 0;

-- The time of the first hand-in; NULL for one hand-in at submitted_at.
ALTER TABLE assignments ADD COLUMN first_submitted_at DATETIME(6) NULL;

-- The hand-in that the grade is for.
ALTER TABLE assignments ADD COLUMN graded_number INT NULL;

-- The student's own deadline, where it is later than the task's.
ALTER TABLE assignments ADD COLUMN extended_due_at DATETIME(6) NULL;

-- Whether the student left the class without handing in.
ALTER TABLE assignments ADD COLUMN withdrawn BOOLEAN NOT NULL DEFAULT FALSE;
