// Package migrations holds the schema of the Task service, in goose's file format. bootcheck runs them.
package migrations

import "embed"

// FS holds the migration files.
//
//go:embed *.sql
var FS embed.FS
