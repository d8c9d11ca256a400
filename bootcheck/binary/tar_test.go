package binary

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"strings"
	"testing"

	"pgo/pkg/migrate"
)

func FuzzUntar(f *testing.F) {
	for _, name := range []string{"00001_a.sql", "../a", "a/b", ""} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		text := "-- +goose Up\nSELECT 1;\n"
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(text))}); err != nil {
			f.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			f.Fatal(err)
		}
		if err := w.Close(); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, archive []byte) {
		out, err := untar(bytes.NewReader(archive))
		if err != nil {
			return
		}
		for name := range out {
			if !fs.ValidPath(name) || strings.Contains(name, "/") {
				t.Fatalf("took %q", name)
			}
		}
		_, _ = migrate.Read(out) // must not panic; most archives hold no migrations
	})
}
