package testkit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"
)

// Broker is a NewBroker with an empty vhost and an administrator's account that has all rights on it.
type Broker struct {
	Addr     string // host:port of AMQP
	Username string
	Password string
	Vhost    string
	API      string // the management API: http://host:port, without credentials
}

// NewBroker creates an empty vhost that is removed, with its queues and connections, when the test ends.
func NewBroker(t testing.TB) Broker {
	t.Helper()
	server, err := rabbitmqServer()
	if err != nil {
		t.Fatalf("this test needs RabbitMQ: %v", err)
	}
	return makeVhost(t, server)
}

// NewOwnBroker starts a broker of the test's own, which ends with the test. control runs rabbitmqctl for it, which takes seconds.
func NewOwnBroker(t testing.TB) (b Broker, control func(args ...string)) {
	t.Helper()
	server, err := newScratch(t).RabbitMQ(context.Background())
	if err != nil {
		t.Fatalf("this test needs a RabbitMQ of its own: %v", err)
	}
	a, err := parseAccount(server.TestURL())
	if err != nil {
		t.Fatal(err)
	}
	a.api = fmt.Sprintf("http://127.0.0.1:%d", server.ManagementPort)
	return makeVhost(t, a), func(args ...string) {
		t.Helper()
		if err := server.Control(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
}

func makeVhost(t testing.TB, server account) Broker {
	t.Helper()
	b := Broker{Addr: server.addr, Username: server.user, Password: server.password, Vhost: uniqueName(t, "t-"), API: server.api}
	t.Cleanup(func() {
		if err := b.Manage(http.MethodDelete, "/api/vhosts/"+b.Vhost, nil, nil); err != nil {
			t.Errorf("remove the test's vhost: %v", err)
		}
	})
	if err := b.Manage(http.MethodPut, "/api/vhosts/"+b.Vhost, map[string]any{}, nil); err != nil {
		t.Fatalf("make a vhost: %v", err)
	}
	rights := map[string]any{"configure": ".*", "write": ".*", "read": ".*"}
	if err := b.Manage(http.MethodPut, "/api/permissions/"+b.Vhost+"/"+url.PathEscape(b.Username), rights, nil); err != nil {
		t.Fatalf("give rights on the vhost: %v", err)
	}
	return b
}

// URL is the vhost's address for amqp091.
func (b Broker) URL() string {
	u := url.URL{Scheme: "amqp", User: url.UserPassword(b.Username, b.Password), Host: b.Addr, Path: "/" + b.Vhost}
	return u.String()
}

// Manage calls the management API as the administrator, with in as the body unless it is nil, and decodes the answer
// into out unless that is nil. An answer other than 2xx is an error.
func (b Broker) Manage(method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode the body: %w", err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, b.API+path, body)
	if err != nil {
		return err
	}
	req.SetBasicAuth(b.Username, b.Password)
	req.Header.Set("Content-Type", "application/json")
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, path, res.Status, answer)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}
