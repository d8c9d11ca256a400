package delivery_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

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

// with returns the first message that has all parts, and how many messages there are.
func (i *inbox) with(parts ...string) (message string, of int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, m := range i.messages {
		all := true
		for _, p := range parts {
			all = all && strings.Contains(m, p)
		}
		if all {
			return m, len(i.messages)
		}
	}
	return "", len(i.messages)
}

// robot is a WeCom robot that refuses the first call for its rate.
func robot(t *testing.T, key string) (*httptest.Server, *inbox) {
	t.Helper()
	var in inbox
	var once sync.Once
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var said struct {
			Markdown struct {
				Content string `json:"content"`
			} `json:"markdown"`
		}
		code := 0
		once.Do(func() { code = 45009 })
		if r.URL.Query().Get("key") != key || json.NewDecoder(r.Body).Decode(&said) != nil {
			code = 93000
		}
		if code == 0 {
			in.put(said.Markdown.Content)
		}
		fmt.Fprintf(w, `{"errcode":%d}`, code)
	}))
	t.Cleanup(s.Close)
	return s, &in
}

// mailServer accepts mail from senders that know the password.
func mailServer(t *testing.T, user, password string) (addr string, in *inbox) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	in = &inbox{}
	s := smtp.NewServer(backend{in, user, password})
	s.Domain, s.AllowInsecureAuth = "localhost", true
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		<-ended
	})
	return l.Addr().String(), in
}

type backend struct {
	in             *inbox
	user, password string
}

func (b backend) NewSession(*smtp.Conn) (smtp.Session, error) { return &session{backend: b}, nil }

// session is one connection of a mail client.
type session struct {
	backend
	known bool
	to    []string
}

func (*session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != s.user || password != s.password {
			return errors.New("wrong password")
		}
		s.known = true
		return nil
	}), nil
}

func (s *session) Mail(string, *smtp.MailOptions) error {
	if !s.known {
		return smtp.ErrAuthRequired
	}
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.in.put("Rcpt: " + strings.Join(s.to, ",") + "\n" + string(text))
	return nil
}

func (s *session) Reset()        { s.to = nil }
func (s *session) Logout() error { return nil }
