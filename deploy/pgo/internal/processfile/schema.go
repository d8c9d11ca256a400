package processfile

import _ "embed"

// schema is generated from the structs' tags by make schema; TestSchema compares it.
//
//go:embed pgo.schema.json
var schema []byte

// Schema returns the JSON Schema of process files, for editors.
func Schema() []byte { return schema }
