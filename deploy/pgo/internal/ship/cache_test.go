package ship

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestCache(t *testing.T) {
	c := Cache{Dir: filepath.Join(t.TempDir(), "new", "directory"), MaxBytes: 2500}
	texts := map[string][]byte{}
	var sums []string
	for n := range 3 {
		text := bytes.Repeat([]byte{byte(n)}, 1000)
		sum := hashContent(text)
		texts[sum], sums = text, append(sums, sum)
		if err := c.add(sum, text); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(time.Duration(n-10) * time.Hour) // the first is the oldest
		if err := os.Chtimes(filepath.Join(c.Dir, sum), then, then); err != nil {
			t.Fatal(err)
		}
	}
	if sum, _ := c.findFirst(sums[:1]); sum != "" {
		t.Error("a program over the limit was kept")
	}
	if sum, text := c.findFirst([]string{"unknown", sums[1], sums[2]}); sum != sums[1] || !bytes.Equal(text, texts[sum]) {
		t.Errorf("first is %s", sum)
	}
	// Used last, so it stays.
	if err := c.add(hashContent([]byte("x")), bytes.Repeat([]byte("x"), 1)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.Dir, sums[1]), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if sum, _ := c.findFirst([]string{sums[1]}); sum != "" {
		t.Error("a damaged program is used")
	}
	if _, err := os.Stat(filepath.Join(c.Dir, sums[1])); err == nil {
		t.Error("a damaged program is kept")
	}
	if err := (Cache{}).add("sum", nil); err != nil {
		t.Errorf("without a directory: %v", err)
	}
}
