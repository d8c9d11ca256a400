// Package processfile reads pgo's process file, the list of processes to run.
//
// The structs of this package are the file's format: their yaml tags name the keys, their jsonschema tags hold the bounds,
// which both the decoder and the JSON Schema for editors use. Reading is strict: an unknown key, a wrong type or a value out
// of bounds is an *Error with its line, column and key.
package processfile

// File is a valid process file with variables expanded and defaults filled in.
type File struct {
	Path      string    `json:"path"` // absolute
	Root      string    `json:"root"` // absolute; commands are relative to it and run in it
	HTTP      HTTP      `json:"http,omitzero"`
	Processes []Process `json:"processes"`
}

// EachListener calls each for every listener of the file with its owner's name, pgo's own first. It stops at an error.
func (f File) EachListener(each func(owner string, l Listener) error) error {
	if f.HTTP.Addr != "" {
		if err := each(OwnerPgo, f.HTTP.Listener()); err != nil {
			return err
		}
	}
	for _, p := range f.Processes {
		for _, l := range p.Listeners {
			if err := each(p.Name, l); err != nil {
				return err
			}
		}
	}
	return nil
}

// document is the file's top level.
type document struct {
	Version   int       `yaml:"version" jsonschema:"required,enum=1"`
	EnvFile   string    `yaml:"env_file" jsonschema_description:"KEY=value lines. Variables of this file, and in every process's environment."`
	HTTP      HTTP      `yaml:"http" jsonschema_description:"pgo's own HTTP server: metrics, service discovery, a read-only API. Default 127.0.0.1:9900; empty: none."`
	Processes []Process `yaml:"processes" jsonschema:"required"`
}

// Defaults sets the values of keys that the file does not have.
func (d *document) Defaults() { d.HTTP.Defaults() }

// Validate checks that there is a process.
func (d *document) Validate(Keys) error {
	if len(d.Processes) == 0 {
		return &keyError{key: "processes", text: "is empty"}
	}
	return nil
}
