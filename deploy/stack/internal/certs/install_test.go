package certs

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestInstall(t *testing.T) {
	now := time.Now()
	pair := func(names ...string) string {
		from := t.TempDir()
		for i, name := range names {
			dir := t.TempDir()
			if _, err := Ensure(dir, []string{name}, now); err != nil {
				t.Fatal(err)
			}
			files := map[string]string{Certificate: "fullchain.pem", Key: "privkey.pem"}
			if i > 0 {
				files = map[string]string{Key: "privkey.pem"} // another certificate's key
			}
			for file, as := range files {
				text, err := os.ReadFile(filepath.Join(dir, file))
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(from, as), text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		return from
	}
	for _, tc := range []struct {
		name, from string
		at         time.Time
		want       string
	}{
		{"a good pair", pair("api.example.org"), now, ""},
		{"nothing there", t.TempDir(), now, "no such file"},
		{"a key of another certificate", pair("api.example.org", "other.example.org"), now, "does not match"},
		{"an expired certificate", pair("api.example.org"), now.Add(2 * certificateLife), "it is valid from"},
		{"a certificate that is not valid yet", pair("api.example.org"), now.Add(-48 * time.Hour), "it is valid from"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			if _, err := Ensure(dir, DefaultHosts(), now); err != nil {
				t.Fatal(err)
			}
			before, err := os.ReadFile(filepath.Join(dir, Certificate))
			if err != nil {
				t.Fatal(err)
			}
			err = Install(dir, tc.from, tc.at)
			pair, broken := tls.LoadX509KeyPair(filepath.Join(dir, Certificate), filepath.Join(dir, Key))
			if broken != nil {
				t.Fatal(broken)
			}
			if tc.want == "" {
				if err != nil || pair.Leaf.VerifyHostname("api.example.org") != nil {
					t.Errorf("error %v, certificate for %v", err, pair.Leaf.DNSNames)
				}
				if info, err := os.Stat(filepath.Join(dir, Key)); err != nil || info.Mode().Perm() != 0o600 {
					t.Errorf("the key: %v, %v", info, err)
				}
				return
			}
			after, readErr := os.ReadFile(filepath.Join(dir, Certificate))
			if err == nil || !strings.Contains(err.Error(), tc.want) || readErr != nil || string(after) != string(before) {
				t.Errorf("error %v, want one with %q and nothing changed", err, tc.want)
			}
		})
	}
}
