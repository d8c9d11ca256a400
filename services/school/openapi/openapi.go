// Package openapi holds the specification of the School service's API, generated from the handlers' comments
// by `make openapi`.
package openapi

import _ "embed" // for the specification

// JSON is the specification (OpenAPI 2.0).
//
//go:embed swagger.json
var JSON []byte
