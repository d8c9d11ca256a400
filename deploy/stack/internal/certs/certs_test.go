package certs

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestEnsure(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	steps := []struct {
		name  string
		hosts []string
		at    time.Time
		made  bool
	}{
		{"the first time", DefaultHosts(), now, true},
		{"again", DefaultHosts(), now.AddDate(0, 1, 0), false},
		{"another host", append(DefaultHosts(), "api.example.org"), now, true},
		{"a host less", DefaultHosts(), now, false},
		{"shortly before its end", DefaultHosts(), now.Add(certificateLife - renewBefore + time.Hour), true},
		{"shortly before the authority's end", DefaultHosts(), now.Add(authorityLife - certificateLife + time.Hour), true},
	}
	dir := t.TempDir()
	for _, tc := range steps {
		t.Run(tc.name, func(t *testing.T) {
			made, err := Ensure(dir, tc.hosts, tc.at)
			if err != nil || made != tc.made {
				t.Fatalf("made %v, %v, want %v", made, err, tc.made)
			}
			pair, err := tls.LoadX509KeyPair(filepath.Join(dir, Certificate), filepath.Join(dir, Key))
			if err != nil {
				t.Fatal(err)
			}
			ca, err := os.ReadFile(filepath.Join(dir, Authority))
			if err != nil {
				t.Fatal(err)
			}
			roots := x509.NewCertPool()
			roots.AppendCertsFromPEM(ca)
			for _, host := range tc.hosts {
				if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, CurrentTime: tc.at}); err != nil {
					t.Errorf("%s: %v", host, err)
				}
			}
		})
	}
	for _, name := range []string{Key, authorityKey} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestEnsureKeepsForeignCertificate(t *testing.T) {
	ours, theirs := t.TempDir(), t.TempDir()
	now := time.Now()
	for _, dir := range []string{ours, theirs} {
		if _, err := Ensure(dir, DefaultHosts(), now); err != nil {
			t.Fatal(err)
		}
	}
	// Signed by an authority with another name.
	ca, key, err := ensureAuthority(theirs, now)
	if err != nil {
		t.Fatal(err)
	}
	ca.RawSubject, ca.Subject.CommonName = nil, "A real authority"
	leaf, err := readCertificate(filepath.Join(theirs, Certificate))
	if err != nil {
		t.Fatal(err)
	}
	leaf.RawIssuer = nil
	if err := signCertificate(ours, Certificate, Key, leaf, ca, key, key); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(filepath.Join(ours, Certificate))
	if made, err := Ensure(ours, []string{"other.example.org"}, now); made || err != nil {
		t.Errorf("made %v, %v", made, err)
	}
	if after, _ := os.ReadFile(filepath.Join(ours, Certificate)); string(after) != string(before) {
		t.Error("it was replaced")
	}
}
