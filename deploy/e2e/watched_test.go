//go:build alerts

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"
)

// watched is a stack whose alerts go to stubs of a WeCom robot and a mail server.
type watched struct {
	*stack
	chat *robot
	mail *inbox
}

const robotKey = "the-robot-key-0123456789"

func newWatched(t *testing.T) *watched {
	t.Helper()
	w := &watched{chat: newRobot(t)}
	var mailAddr string
	mailAddr, w.mail = mailServer(t)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"PROMETHEUS_RULES": shortRules(t, root), "SCRAPE_INTERVAL": "3s",
		"GROUP_WAIT": "1s", "GROUP_WAIT_CRITICAL": "1s", "GROUP_INTERVAL": "2s",
		"SMTP_SMARTHOST": mailAddr, "SMTP_FROM": "alerts@pgo.test", "SMTP_TO": "oncall@pgo.test", "SMTP_REQUIRE_TLS": "false",
		"WECOM_URL": w.chat.URL, "WECOM_LANG": "en",
	} {
		t.Setenv(name, value)
	}
	w.stack = newStack(t)
	write(t, filepath.Join(w.home, "secrets", "wecom_key"), robotKey+"\n")
	return w
}

// inbox keeps what a stub has taken.
type inbox struct {
	mu       sync.Mutex
	messages []string
}

func (i *inbox) put(message string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.messages = append(i.messages, message)
}

// mark is a place to look from later.
func (i *inbox) mark() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.messages)
}

// arrives waits for a message after mark with all parts in one line.
func (i *inbox) arrives(t *testing.T, mark int, parts ...string) {
	t.Helper()
	eventually(t, strings.Join(parts, " ")+" arrives", func() error {
		i.mu.Lock()
		defer i.mu.Unlock()
		var heads []string
		for _, m := range i.messages[mark:] {
			for line := range strings.Lines(m) {
				all := true
				for _, p := range parts {
					all = all && strings.Contains(line, p)
				}
				if all {
					return nil
				}
			}
			head, _, _ := strings.Cut(m, "\n")
			heads = append(heads, head)
		}
		return fmt.Errorf("none of %q", heads)
	})
}

// robot is a group robot of WeCom.
type robot struct {
	*httptest.Server
	inbox
	refusing bool
}

func newRobot(t *testing.T) *robot {
	t.Helper()
	r := &robot{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var said struct {
			Markdown struct {
				Content string `json:"content"`
			} `json:"markdown"`
		}
		err := json.NewDecoder(req.Body).Decode(&said)
		r.mu.Lock()
		refused := r.refusing || err != nil || req.URL.Query().Get("key") != robotKey
		r.mu.Unlock()
		if refused {
			fmt.Fprint(w, `{"errcode":93000}`)
			return
		}
		r.put(said.Markdown.Content)
		fmt.Fprint(w, `{"errcode":0}`)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *robot) refuse(yes bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refusing = yes
}

// mailServer takes all mail.
func mailServer(t *testing.T) (addr string, in *inbox) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	in = &inbox{}
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return letter{in}, nil }))
	s.Domain = "localhost"
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		<-ended
	})
	return l.Addr().String(), in
}

type letter struct{ in *inbox }

func (letter) Mail(string, *smtp.MailOptions) error { return nil }
func (letter) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (letter) Reset()                               {}
func (letter) Logout() error                        { return nil }

func (l letter) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err == nil {
		l.in.put(string(text))
	}
	return err
}
