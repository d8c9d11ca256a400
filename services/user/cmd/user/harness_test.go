package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pgo/pkg/migrate"
	"pgo/pkg/mq"
	"pgo/pkg/testkit"
	"pgo/services/user/events"
	"pgo/services/user/migrations"
)

// world is what one or more instances of the service run on: servers that a test can cut off.
type world struct {
	db       testkit.Database
	redis    testkit.RedisServer
	broker   testkit.Broker
	mysqlTo  *testkit.Link
	redisTo  *testkit.Link
	brokerTo *testkit.Link
	key      ed25519.PrivateKey
	mailDir  string
	environ  []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{db: testkit.MySQL(t), redis: testkit.Redis(t), broker: testkit.RabbitMQ(t), mailDir: t.TempDir()}
	ms, err := migrate.Read(migrations.FS)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := migrate.Up(t.Context(), w.db.Open(t), ms, migrate.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := mq.Declare(t.Context(), mq.Config{Addr: w.broker.Addr, Vhost: w.broker.Vhost, Username: w.broker.Username, Password: w.broker.Password}, events.Topology()); err != nil {
		t.Fatal(err)
	}
	w.mysqlTo, w.redisTo, w.brokerTo = testkit.Proxy(t, w.db.Addr), testkit.Proxy(t, w.redis.Addr), testkit.Proxy(t, w.broker.Addr)
	keyFile := filepath.Join(t.TempDir(), "key.pem")
	text := signingKey(t)
	if err := os.WriteFile(keyFile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(text))
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	w.key = parsed.(ed25519.PrivateKey)
	w.environ = []string{
		"PGO_CONFIG_DIR=../../../../configs", "PGO_ENV=test",
		"PGO_CFG_HTTP__ADDR=127.0.0.1:0", "PGO_CFG_HTTP__DRAIN_TIMEOUT=1s",
		"PGO_CFG_MYSQL__ADDR=" + w.mysqlTo.Addr(), "PGO_CFG_MYSQL__USERNAME=" + w.db.User, "PGO_CFG_MYSQL__PASSWORD=" + w.db.Password, "PGO_CFG_MYSQL__DATABASE=" + w.db.Name,
		"PGO_CFG_REDIS__ADDR=" + w.redisTo.Addr(), "PGO_CFG_REDIS__USERNAME=" + w.redis.Username, "PGO_CFG_REDIS__PASSWORD=" + w.redis.Password, "PGO_CFG_REDIS__PREFIX=" + w.redis.Prefix,
		"PGO_CFG_RABBITMQ__ADDR=" + w.brokerTo.Addr(), "PGO_CFG_RABBITMQ__USERNAME=" + w.broker.Username, "PGO_CFG_RABBITMQ__PASSWORD=" + w.broker.Password, "PGO_CFG_RABBITMQ__VHOST=" + w.broker.Vhost,
		"PGO_CFG_AUTH__SIGNING_KEY_FILE=" + keyFile, "PGO_CFG_MAIL__DIR=" + w.mailDir,
		"PGO_CFG_LOGIN__ADDRESS=100000",
	}
	return w
}

// signingKey returns a new key as it stands in its file.
func signingKey(t testing.TB) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// service is a running instance.
type service struct {
	t    testing.TB
	base string
	stop func() int // asks it to stop and returns its exit code
	logs *logs

	client *http.Client
	db     *sql.DB // past the service
}

// logs is what an instance has written so far.
type logs struct {
	mu    sync.Mutex
	lines []string
}

func (l *logs) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

// having returns the lines that contain what.
func (l *logs) having(what string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for _, line := range l.lines {
		if strings.Contains(line, what) {
			found = append(found, line)
		}
	}
	return found
}

// start runs the service as main does, on a free port, until the test ends.
func (w *world) start(t *testing.T, environ ...string) *service {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	exit := make(chan int, 1)
	var stderr bytes.Buffer
	go func() {
		exit <- run(ctx, nil, append(append([]string(nil), w.environ...), environ...), in, &stderr)
		in.Close()
	}()
	s := &service{t: t, logs: &logs{}, db: w.db.Open(t), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	s.stop = sync.OnceValue(func() int {
		s.client.CloseIdleConnections() // else the drain waits for them
		cancel()
		return <-exit
	})
	ready := make(chan string, 1)
	var log sync.WaitGroup
	log.Go(func() {
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var line struct{ Msg, HTTP, Level string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "ready" {
				ready <- line.HTTP
			}
			if line.Level == "error" {
				t.Logf("%s", lines.Bytes())
			}
			s.logs.add(lines.Text())
		}
	})
	t.Cleanup(func() {
		s.stop()
		log.Wait()
		for _, secret := range []string{password, "@example.org", "eyJ", "argon2id"} {
			if lines := s.logs.having(secret); len(lines) > 0 {
				t.Errorf("the log shows %q: %s", secret, lines[0])
			}
		}
	})
	select {
	case addr := <-ready:
		s.base = "http://" + addr
	case code := <-exit:
		exit <- code
		t.Fatalf("the service ended with %d: %s", code, &stderr)
	case <-time.After(30 * time.Second):
		t.Fatal("the service is not ready after 30 s")
	}
	return s
}

// mails returns the texts of the mails to an address whose subject contains about.
func (w *world) mails(t testing.TB, to, about string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(w.mailDir, "*.eml"))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), to) && strings.Contains(string(text), about) {
			found = append(found, string(text))
		}
	}
	return found
}

// mailToken waits for the n-th mail and returns the token in the newest, once it is good.
func (w *world) mailToken(t testing.TB, to, about string, n int) string {
	t.Helper()
	var token string
	db := w.db.Open(t)
	testkit.Eventually(t, about+" mail", func() error {
		all := w.mails(t, to, about)
		if len(all) < n {
			return errors.New("not there")
		}
		token = tokenIn(all[len(all)-1])
		hash := sha256.Sum256([]byte(token))
		var good bool // from the mailer's commit on, which comes after the file
		return db.QueryRow("SELECT TRUE FROM mail_tokens WHERE hash = ?", hash[:]).Scan(&good)
	})
	if token == "" {
		t.Fatal("the mail has no token")
	}
	return token
}

// tokenIn finds the line that is nothing but a token; quoted-printable leaves it alone.
func tokenIn(mail string) string {
	for line := range strings.Lines(mail) {
		if line = strings.TrimSpace(line); len(line) == 43 && !strings.ContainsAny(line, " :") {
			return line
		}
	}
	return ""
}
