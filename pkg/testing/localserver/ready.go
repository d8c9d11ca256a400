package localserver

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// probeTimeout bounds one question to a server; a caller asks again.
const probeTimeout = 2 * time.Second

// Ready implements Instance: the server greets. It does so only after the accounts are made.
func (m MySQL) Ready(ctx context.Context) error {
	return probe(ctx, m.Port, nil, func(r *bufio.Reader) error {
		head := make([]byte, 5)
		if _, err := io.ReadFull(r, head); err != nil {
			return err
		}
		if head[4] != 10 {
			return fmt.Errorf("not a MySQL greeting: %q", head)
		}
		return nil
	})
}

// Ready implements Instance: the server has its data loaded and takes the administrator's password.
func (r Redis) Ready(ctx context.Context) error {
	hello := []byte(respCommand("AUTH", AdminUser, r.AdminPassword) + respCommand("PING"))
	return probe(ctx, r.Port, hello, func(in *bufio.Reader) error {
		for _, want := range []string{"+OK", "+PONG"} {
			line, err := in.ReadString('\n')
			if err != nil {
				return err
			}
			if strings.TrimSpace(line) != want {
				return fmt.Errorf("redis answers %s", strings.TrimSpace(line))
			}
		}
		return nil
	})
}

func respCommand(args ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b.String()
}

// Ready implements Instance: something listens.
func (e Epmd) Ready(ctx context.Context) error {
	return probe(ctx, e.Port, nil, func(*bufio.Reader) error { return nil })
}

// Ready implements Instance: the broker offers AMQP and its management API takes the administrator's password.
func (r RabbitMQ) Ready(ctx context.Context) error {
	err := probe(ctx, r.Port, []byte("AMQP\x00\x00\x09\x01"), func(in *bufio.Reader) error {
		b, err := in.ReadByte()
		if err == nil && b != 1 {
			err = fmt.Errorf("not an AMQP frame: %q", b)
		}
		return err
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/api/whoami", r.ManagementPort), nil)
	if err != nil {
		return err
	}
	req.SetBasicAuth(AdminUser, r.AdminPassword)
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("management API answers %s", res.Status)
	}
	return nil
}

func probe(ctx context.Context, port int, hello []byte, answer func(*bufio.Reader) error) error {
	d := net.Dialer{Timeout: probeTimeout}
	conn, err := d.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(probeTimeout)); err != nil {
		return err
	}
	if _, err := conn.Write(hello); err != nil {
		return err
	}
	return answer(bufio.NewReader(conn))
}
