-- min_code_schema: 2
-- +goose Up
CREATE TABLE tasks (
  id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  class_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  title VARCHAR(200) NOT NULL,
  description MEDIUMTEXT NOT NULL,
  status VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  max_score INT NOT NULL,
  due_at DATETIME(6) NOT NULL,
  assigned_count INT NOT NULL,
  submitted_count INT NOT NULL,
  graded_count INT NOT NULL,
  version BIGINT NOT NULL,
  sequence BIGINT NOT NULL,
  created_by CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  created_at DATETIME(6) NOT NULL,
  updated_at DATETIME(6) NOT NULL,
  published_at DATETIME(6) NULL,
  closed_at DATETIME(6) NULL,
  PRIMARY KEY (id),
  KEY tasks_class (class_id, id),
  KEY tasks_class_status (class_id, status, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE assignments (
  task_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  user_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  class_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  status VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  late BOOLEAN NOT NULL,
  score INT NULL,
  version BIGINT NOT NULL,
  assigned_at DATETIME(6) NOT NULL,
  submitted_at DATETIME(6) NULL,
  graded_at DATETIME(6) NULL,
  PRIMARY KEY (task_id, user_id),
  KEY assignments_status (task_id, status, user_id),
  KEY assignments_user (user_id, task_id),
  KEY assignments_user_class (user_id, class_id, task_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE submissions (
  task_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  user_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  content MEDIUMTEXT NOT NULL,
  feedback MEDIUMTEXT NOT NULL,
  updated_at DATETIME(6) NOT NULL,
  PRIMARY KEY (task_id, user_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE fanouts (
  task_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  class_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  after_user CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  next_at DATETIME(6) NOT NULL,
  PRIMARY KEY (task_id),
  KEY fanouts_next (next_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
