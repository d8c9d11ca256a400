// Package mail delivers mails. Directory writes them to files, for development.
package mail

import (
	"bytes"
	"context"
	"fmt"
	"mime"
	"mime/quotedprintable"
	netmail "net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"pgo/services/user"
)

// Directory writes each mail to a file of its own that only the service's account can read. It implements user.MailSender.
type Directory struct {
	Path string // created if it does not exist
	From string
}

// fileNamePattern matches the ids that can be part of a file name.
var fileNamePattern = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// Deliver implements user.MailSender. It writes the file ID.eml atomically.
func (f Directory) Deliver(_ context.Context, m user.Mail) error {
	if !fileNamePattern.MatchString(m.ID) {
		return fmt.Errorf("mail id %q cannot name a file", m.ID)
	}
	text, err := formatMessage(m, f.From)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.Path, 0o700); err != nil {
		return fmt.Errorf("create mail directory: %w", err)
	}
	if err := renameio.WriteFile(filepath.Join(f.Path, m.ID+".eml"), text, 0o600); err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	return nil
}

// formatMessage returns m in Internet Message Format (RFC 5322).
func formatMessage(m user.Mail, from string) ([]byte, error) {
	var b bytes.Buffer
	to := (&netmail.Address{Name: m.Name, Address: m.To}).String() // encodes characters that a header cannot contain
	to = strings.ReplaceAll(to, "?= =?", "?=\r\n =?")              // a long name is several encoded words: each gets a line, whose limit is 998 bytes
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%s@pgo>\r\n", (&netmail.Address{Name: "pgo", Address: from}).String(), to,
		mime.QEncoding.Encode("utf-8", m.Subject), m.Date.Format(time.RFC1123Z), m.ID)
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	w := quotedprintable.NewWriter(&b)
	if _, err := w.Write([]byte(m.Text)); err != nil {
		return nil, fmt.Errorf("encode mail: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("encode mail: %w", err)
	}
	return b.Bytes(), nil
}
