-- min_code_schema: 1
-- +goose Up
CREATE TABLE view_schools (
  id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  name VARCHAR(255) NULL,
  deleted BOOLEAN NOT NULL DEFAULT FALSE,
  sequence BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE view_school_members (
  school_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  user_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  role VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  removed BOOLEAN NOT NULL,
  sequence BIGINT NOT NULL,
  PRIMARY KEY (school_id, user_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE view_classes (
  id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  school_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  name VARCHAR(255) NULL,
  deleted BOOLEAN NOT NULL DEFAULT FALSE,
  sequence BIGINT NOT NULL DEFAULT 0,
  sweep_until DATETIME(6) NULL,
  PRIMARY KEY (id),
  KEY view_classes_school (school_id),
  KEY view_classes_sweep (sweep_until)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE view_class_members (
  class_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  user_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  role VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  removed BOOLEAN NOT NULL,
  sequence BIGINT NOT NULL,
  PRIMARY KEY (class_id, user_id),
  KEY view_class_members_role (class_id, removed, role, user_id),
  KEY view_class_members_user (user_id, removed, role, class_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE people (
  id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  name VARCHAR(255) NULL,
  deleted BOOLEAN NOT NULL DEFAULT FALSE,
  sequence BIGINT NOT NULL,
  PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
