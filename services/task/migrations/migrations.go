// Package migrations holds the schema of the Task service, in goose's file format. bootcheck runs them.
package migrations

import "embed"

// FS is the files.
//
//go:embed *.sql
var FS embed.FS
