package binary_test

import (
	"archive/tar"
	"context"
	"errors"
	"strings"
	"testing"

	"pgo/bootcheck/binary"
	"pgo/bootcheck/internal/fixture"
	"pgo/pkg/migrate"
)

func TestReads(t *testing.T) {
	fake := fixture.NewBinary(t)
	fake.SetMigrations("00001_a.sql", "SELECT 1;", "00002_b.sql", "SELECT 2;")
	b := binary.Binary{Service: "user", Path: fake.Path}
	v, err := b.ReadVersion(context.Background())
	if err != nil || v.Version != "1.2.3" {
		t.Errorf("version %+v, %v", v, err)
	}
	ms, err := b.ReadMigrations(context.Background())
	if err != nil || migrate.Latest(ms) != 2 {
		t.Errorf("migrations %+v, %v", ms, err)
	}
	if _, err := b.ReadTopology(context.Background()); err != nil {
		t.Error(err)
	}
	if _, err := b.ReadOpenAPI(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestHostileArchive(t *testing.T) {
	plain := func(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644} }
	tests := []struct {
		name    string
		entries []tar.Header
		want    string
	}{
		{"parent", []tar.Header{plain("../00001_a.sql")}, "not at the top level"},
		{"absolute", []tar.Header{plain("/etc/00001_a.sql")}, "not at the top level"},
		{"directory", []tar.Header{plain("x/00001_a.sql")}, "not at the top level"},
		{"dot", []tar.Header{plain("./00001_a.sql")}, "not at the top level"},
		{"symbolic link", []tar.Header{{Name: "00001_a.sql", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}}, "not a plain file"},
		{"hard link", []tar.Header{{Name: "00001_a.sql", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}}, "not a plain file"},
		{"device", []tar.Header{{Name: "00001_a.sql", Typeflag: tar.TypeChar}}, "not a plain file"},
		{"twice", []tar.Header{plain("00001_a.sql"), plain("00001_a.sql")}, "there twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fake := fixture.NewBinary(t)
			texts := make([]string, len(tt.entries))
			fake.SetOutput("migrations", fixture.BuildTar(t, tt.entries, texts))
			_, err := binary.Binary{Service: "user", Path: fake.Path}.ReadMigrations(context.Background())
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
	t.Run("huge", func(t *testing.T) {
		fake := fixture.NewBinary(t)
		fake.SetOutput("migrations", fixture.BuildTar(t, []tar.Header{plain("00001_a.sql")}, []string{strings.Repeat("x", 5<<20)}))
		_, err := binary.Binary{Service: "user", Path: fake.Path}.ReadMigrations(context.Background())
		if err == nil || !strings.Contains(err.Error(), "at most 4194304") {
			t.Errorf("got %v", err)
		}
	})
}

func TestBrokenBinary(t *testing.T) {
	tests := []struct {
		name string
		do   func(*fixture.Binary)
		want string
	}{
		{"missing", func(f *fixture.Binary) { f.Path += ".not-there" }, "no such file"},
		{"crashes", func(f *fixture.Binary) { f.WriteScript("echo out of luck >&2; exit 3") }, "exit status 3: out of luck"},
		{"no JSON", func(f *fixture.Binary) { f.SetOutput("version", []byte("hello")) }, "read what it prints"},
		{"never stops printing", func(f *fixture.Binary) { f.WriteScript("exec cat /dev/zero") }, "prints more than 1048576 bytes"},
		{"inherits no secrets", func(f *fixture.Binary) { f.WriteScript("test -z \"$PGO_CFG_MYSQL__PASSWORD\" && exit 4") }, "exit status 4"},
	}
	t.Setenv("PGO_CFG_MYSQL__PASSWORD", "hidden")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fake := fixture.NewBinary(t)
			tt.do(fake)
			_, err := binary.Binary{Service: "user", Path: fake.Path}.ReadVersion(context.Background())
			var e *binary.Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "service user") || !strings.Contains(err.Error(), fake.Path) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
	t.Run("migration that cannot be read", func(t *testing.T) {
		fake := fixture.NewBinary(t)
		fake.SetMigrations("00001_a.sql", "SELECT 1")
		_, err := binary.Binary{Service: "user", Path: fake.Path}.ReadMigrations(context.Background())
		var syntax *migrate.SyntaxError
		if !errors.As(err, &syntax) || syntax.File != "00001_a.sql" || syntax.Line != 2 {
			t.Errorf("got %v", err)
		}
	})
}
