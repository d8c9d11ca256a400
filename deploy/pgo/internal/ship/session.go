package ship

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"time"
)

// session is one deploy or rollback to one host.
type session struct {
	Options Options
	host    string
	id      string
	conn    *connection
}

// newID returns a new ID of a deploy, which begins with the time.
func newID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return time.Now().UTC().Format("20060102150405") + "-" + hex.EncodeToString(b[:4])
}

// errLocal is returned for errors of this side: the host got nothing to do.
var errLocal = errors.New("nothing was sent")

func (s *session) report(e Event) {
	e.Time, e.Host, e.ID, e.DryRun = time.Now().UTC(), s.host, s.id, s.Options.DryRun
	s.Options.Report(e)
}
