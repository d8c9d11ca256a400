package ship

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxBanner bounds what a login shell may print before pgo receive, in bytes.
const maxBanner = 64 << 10

// bannerSkipper skips what the login shell of a host prints before the first frame, as the banner of its profile. A frame begins
// with the letter of its kind and a zero byte, which no text has.
type bannerSkipper struct {
	from   *bufio.Reader
	report func(banner string)
	found  bool // the first frame
}

// Read reads frames.
func (b *bannerSkipper) Read(p []byte) (int, error) {
	if !b.found {
		if err := b.skip(); err != nil {
			return 0, err
		}
	}
	return b.from.Read(p)
}

// skip reads up to the first frame. Its error names all that was printed in place of one.
func (b *bannerSkipper) skip() error {
	var banner strings.Builder
	for {
		head, err := b.from.Peek(2)
		if len(head) == 2 && head[1] == 0 {
			b.found = true
			if banner.Len() > 0 {
				b.report(banner.String())
			}
			return nil
		}
		if err != nil || banner.Len() >= maxBanner {
			rest, _ := b.from.Peek(b.from.Buffered())
			banner.Write(rest)
			if err == nil {
				err = errors.New("too much")
			}
			if text := strings.TrimSpace(banner.String()); text != "" {
				return fmt.Errorf("in place of pgo receive the host printed %q: %w", text, err)
			}
			return err
		}
		c, err := b.from.ReadByte()
		if err != nil {
			return err
		}
		banner.WriteByte(c)
	}
}

func newBannerSkipper(from io.Reader, report func(banner string)) *bannerSkipper {
	return &bannerSkipper{from: bufio.NewReader(from), report: report}
}
