package config

// Secret is a value that must not be shown: printing, logging and marshalling it yields "***".
type Secret string

// Reveal returns the value itself, for the one place that needs it.
func (s Secret) Reveal() string { return string(s) }

// String returns "***", or "" for an empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// GoString keeps %#v from showing the value.
func (s Secret) GoString() string { return s.String() }

// MarshalText keeps every text encoding, JSON and YAML among them, from showing the value.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
