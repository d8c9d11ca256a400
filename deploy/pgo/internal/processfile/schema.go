package processfile

import (
	"encoding/json"
	"fmt"
)

// Schema is the JSON Schema of a process file, for editors. It comes from the same tables that read one.
func Schema() ([]byte, error) {
	form := reader{}.top(map[string]bool{}, &HTTP{}, nil).form("version", "processes")
	form["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	form["title"] = "pgo process file"
	content, err := json.MarshalIndent(form, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("make the schema: %w", err)
	}
	return append(content, '\n'), nil
}
