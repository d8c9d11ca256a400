package ship

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestBannerSkipper(t *testing.T) {
	const frames = "m\x00\x00\x00\x02{}a\x00\x00\x00\x00"
	tests := []struct{ name, sent, banner, frames, failure string }{
		{"no banner", frames, "", frames, ""},
		{"a banner", "Welcome to alpha\nm a d e\n" + frames, "Welcome to alpha\nm a d e\n", frames, ""},
		{"a banner without an end of line", "$ " + frames, "$ ", frames, ""},
		{"only a banner", "This account is\nnot available.\n", "", "", `in place of pgo receive the host printed "This account is\nnot available.": EOF`},
		{"one byte", "x", "", "", `in place of pgo receive the host printed "x": EOF`},
		{"nothing", "", "", "", ""},
		{"a flood", strings.Repeat("x", 2*maxBanner), "", "", "too much"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			banner := ""
			got, err := io.ReadAll(newBannerSkipper(iotest.OneByteReader(strings.NewReader(test.sent)), func(text string) { banner += text }))
			if string(got) != test.frames || banner != test.banner {
				t.Errorf("read %q after %q", got, banner)
			}
			if test.failure == "" && err != nil || test.failure != "" && (err == nil || !strings.HasSuffix(err.Error(), test.failure)) {
				t.Errorf("got %v", err)
			}
		})
	}
}
