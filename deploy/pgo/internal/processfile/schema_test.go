package processfile

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"testing"

	"github.com/invopop/jsonschema"
)

var update = flag.Bool("update", false, "rewrite the schema")

// TestSchema compares the schema in the repository with the tags of the structs.
func TestSchema(t *testing.T) {
	want, err := generateSchema()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("pgo.schema.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(Schema(), want) {
		t.Error("pgo.schema.json differs from the structs: run make schema")
	}
}

// generateSchema reflects the file's structs, and adds what their tags cannot express: lists that the file writes as mappings
// of names, and values that stand for a mapping.
func generateSchema() ([]byte, error) {
	s := reflectType(reflect.TypeFor[document](), nil)
	s.Version, s.Title = jsonschema.Version, "pgo process file"
	content, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	var all any
	if err := json.Unmarshal(content, &all); err != nil {
		return nil, err
	}
	acceptScalars(all)
	content, err = json.MarshalIndent(all, "", "  ")
	return append(content, '\n'), err
}

// reflectType returns the schema of a struct. inside is the type whose mapping is being described.
func reflectType(t, inside reflect.Type) *jsonschema.Schema {
	r := &jsonschema.Reflector{FieldNameTag: "yaml", RequiredFromJSONSchemaTags: true, DoNotReference: true, Anonymous: true}
	r.Mapper = func(t reflect.Type) *jsonschema.Schema {
		switch t {
		case inside:
			return nil
		case reflect.TypeFor[[]Process](), reflect.TypeFor[[]Listener]():
			return &jsonschema.Schema{Type: "object", AdditionalProperties: reflectType(t.Elem(), nil)}
		case reflect.TypeFor[int]():
			return nil
		}
		if t.Kind() != reflect.Struct {
			return nil
		}
		for _, f := range fieldsOf(t) {
			if f.decode == "short" {
				short := &jsonschema.Schema{Type: "string"}
				if t.Field(f.index).Type.Kind() == reflect.Bool {
					short.Type = "boolean"
				}
				return &jsonschema.Schema{OneOf: []*jsonschema.Schema{short, reflectType(t, t)}}
			}
		}
		return nil
	}
	s := r.ReflectFromType(t)
	s.Version = ""
	for _, f := range fieldsOf(t) {
		if f.decode == "cpus" {
			number, _ := s.Properties.Get(f.key)
			count := *number
			count.Description = ""
			s.Properties.Set(f.key, &jsonschema.Schema{
				Description: number.Description,
				OneOf:       []*jsonschema.Schema{&count, {Const: "cpus"}},
			})
		}
	}
	return s
}

// acceptScalars lets YAML write texts as numbers and booleans, which the file takes as text.
func acceptScalars(v any) {
	switch v := v.(type) {
	case map[string]any:
		if _, limited := v["enum"]; v["type"] == "string" && !limited {
			v["type"] = []string{"string", "number", "boolean"}
		}
		if v["type"] == "string" && v["oneOf"] != nil {
			delete(v, "type")
		}
		for _, child := range v {
			acceptScalars(child)
		}
	case []any:
		for _, child := range v {
			acceptScalars(child)
		}
	}
}
