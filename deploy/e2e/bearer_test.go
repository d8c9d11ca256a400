package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// bearerSecrets are the tokens, codes and passwords that a test sent or received, each with what it is. Whoever finds one can act
// as another person.
type bearerSecrets struct {
	mu  sync.Mutex
	all map[string]string
}

func newBearerSecrets() *bearerSecrets { return &bearerSecrets{all: map[string]string{}} }

// tailLength is the length of the end of a secret by which it is looked for: a log may have cut off its beginning.
const tailLength = 12

func (b *bearerSecrets) add(what, secret string) {
	if len(secret) < tailLength {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret)} {
		b.all[form] = what
	}
}

// addFields adds the secrets in a body of JSON.
func (b *bearerSecrets) addFields(body []byte) {
	var fields map[string]any
	if json.Unmarshal(body, &fields) != nil {
		return
	}
	for _, name := range []string{"password", "current_password", "new_password", "access_token", "refresh_token", "device_token", "token", "code"} {
		if _, isInvite := fields["max_uses"]; name == "code" && !isInvite {
			continue // a problem's
		}
		if secret, ok := fields[name].(string); ok {
			b.add(name, secret)
		}
	}
}

// addMails adds the tokens of the mails in a directory, which are lines of their own.
func (b *bearerSecrets) addMails(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.eml"))
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); len(line) == 43 && !strings.ContainsAny(line, " :") {
				b.add("token of a mail", line)
			}
		}
	}
	return nil
}

// addFiles adds the stack's own secrets: passwords and keys.
func (b *bearerSecrets) addFiles(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); !strings.HasPrefix(line, "-----") {
				b.add(entry.Name(), line)
			}
		}
	}
	return nil
}

// kinds returns how many secrets of each kind are known.
func (b *bearerSecrets) kinds() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	kinds := map[string]int{}
	for _, what := range b.all {
		kinds[what]++
	}
	return kinds
}

// find returns what each secret in the text is, with the text around it. It looks for the end of each, so that the cost does not grow
// with their number.
func (b *bearerSecrets) find(text []byte) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	tails := map[[tailLength]byte]string{}
	for secret, what := range b.all {
		tails[[tailLength]byte([]byte(secret[len(secret)-tailLength:]))] = what
	}
	var found []string
	for i := 0; i+tailLength <= len(text); i++ {
		if what, ok := tails[[tailLength]byte(text[i:i+tailLength])]; ok {
			found = append(found, fmt.Sprintf("a %s: %q", what, text[max(0, i-200):i+tailLength]))
		}
	}
	return found
}

// TestFindSecrets looks for secrets in texts as logs have them.
func TestFindSecrets(t *testing.T) {
	b := newBearerSecrets()
	b.addFields([]byte(`{"password":"a good pass phrase","code":"validation_failed"}`))
	b.addFields([]byte(`{"access_token":"header.payload.signature-of-it","refresh_token":"short","max_uses":1,"code":"kQ7invitecode0123"}`))
	for _, tc := range []struct {
		text string
		want int
	}{
		{`{"msg":"signed in","code":"validation_failed","token":"short"}`, 0},
		{`{"msg":"a good pass phrase"}`, 1},
		{`GET /?password=a+good+pass+phrase and /a%20good%20pass%20phrase`, 2},
		{`Bearer header.payload.signature-of-it, cut off: ayload.signature-of-it`, 2},
		{`POST /api/v1/invites/kQ7invitecode0123/accept`, 1},
	} {
		if got := b.find([]byte(tc.text)); len(got) != tc.want {
			t.Errorf("%s: found %q, want %d", tc.text, got, tc.want)
		}
	}
}

// spanStore stands for the collector and keeps what it is sent.
type spanStore struct {
	*httptest.Server
	mu   sync.Mutex
	sent bytes.Buffer
}

func newSpanStore(t *testing.T) *spanStore {
	t.Helper()
	s := &spanStore{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sent.Write(text)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *spanStore) text() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.sent.Bytes())
}

// noSecretIsTold looks for every secret of the run in every log, metric and trace of the run.
func noSecretIsTold(t *testing.T, s *stack) {
	for _, add := range []error{s.secrets.addMails(filepath.Join(s.home, "mail")), s.secrets.addFiles(filepath.Join(s.home, "secrets"))} {
		if add != nil {
			t.Fatal(add)
		}
	}
	kinds := s.secrets.kinds()
	for _, what := range []string{"password", "access_token", "refresh_token", "device_token", "code", "token of a mail", "user_mysql_password", "user_signing_key.pem"} {
		if kinds[what] == 0 {
			t.Errorf("the run had no %s: it shows nothing about them", what)
		}
	}
	t.Logf("secrets: %v", kinds)
	texts := s.logTexts(t)
	texts["traces"] = s.spans.text()
	for name, text := range s.metricTexts(t) {
		texts[name] = text
	}
	for part, mark := range map[string]string{
		"logs/gateway.log": "/api/v1/invites/-/accept", "logs/user.log": "/api/v1/auth/login", "logs/school.log": "/api/v1/invites/:code/accept",
		"traces": "/api/v1/invites/:code/accept", "metrics of user": "http_server_request_duration_seconds", "metrics of pgo": "pgo_process_up",
	} {
		if !bytes.Contains(texts[part], []byte(mark)) {
			t.Errorf("%s (%d bytes) has no %q: it shows nothing", part, len(texts[part]), mark)
		}
	}
	for name, text := range texts {
		if found := s.secrets.find(text); len(found) > 0 {
			t.Errorf("%s has %d secrets, the first of them %s", name, len(found), found[0])
		}
	}
}

// logTexts reads every log in the stack's directory, also those that were rotated.
func (s *stack) logTexts(t *testing.T) map[string][]byte {
	t.Helper()
	texts := map[string][]byte{}
	err := filepath.WalkDir(s.home, func(path string, entry fs.DirEntry, err error) error {
		name, _ := filepath.Rel(s.home, path)
		if err != nil || !entry.Type().IsRegular() || !strings.HasPrefix(name, "logs/") && !strings.Contains(entry.Name(), ".log") {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil && strings.HasSuffix(name, ".gz") {
			var r *gzip.Reader
			if r, err = gzip.NewReader(bytes.NewReader(text)); err == nil {
				text, err = io.ReadAll(r)
			}
		}
		texts[name] = text
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

// metricTexts reads the metrics of pgo and of every instance, and from Prometheus every series of the run, where it runs.
func (s *stack) metricTexts(t *testing.T) map[string][]byte {
	t.Helper()
	get := func(target string) []byte {
		t.Helper()
		res, err := s.client.Get(target)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", target, res.Status, err)
		}
		return text
	}
	pgo := fmt.Sprintf("http://127.0.0.1:%d", 9900+s.offset)
	texts := map[string][]byte{"metrics of pgo": get(pgo + "/metrics")}
	texts["metrics of bootcheck"] = get("http://" + s.env(t)["BOOTCHECK_HTTP"] + "/metrics")
	for _, name := range services() {
		texts["metrics of "+name] = get(pgo + "/scrape/" + name + "/0")
	}
	if s.list()["prometheus"].Ready {
		texts["series of Prometheus"] = get("http://" + s.env(t)["PROMETHEUS_HTTP"] + "/api/v1/series?start=0&match[]=" + url.QueryEscape(`{__name__!=""}`))
	}
	return texts
}
