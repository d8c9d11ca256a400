package auth

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/zap"
)

const (
	jwksInterval       = 5 * time.Minute        // how often the key set is read again
	jwksRetryInterval  = 500 * time.Millisecond // the same before the first successful reading
	unknownKeyInterval = time.Second            // tokens with unknown keys cause at most one reading in this time
	jwksTimeout        = 2 * time.Second
	maxJWKS            = 1 << 20
)

// NewRemoteKeys returns the keys of a service that signs no tokens: the JWK set at url, read in the background until ctx
// ends. While its server is unavailable, or answers with something other than a key set, the keys of the last reading stay
// valid. Before the first successful reading it returns ErrKeysUnavailable. A token with an unknown key waits for one
// reading, so that a new key is accepted at once; such tokens within a second after a reading are refused without another
// one. It returns an error if url is not an http or https URL.
func NewRemoteKeys(ctx context.Context, url string, client *http.Client, log *zap.Logger) (jwt.Keyfunc, error) {
	if err := checkURL(url); err != nil {
		return nil, err
	}
	k := &remoteKeys{ctx: ctx, url: url, client: client, log: log}
	k.reloadKeys(time.Time{})
	go k.reloadPeriodically()
	return k.findKey, nil
}

func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("signing keys: %q is not a URL such as https://example.org/keys", text)
	}
	return nil
}

type remoteKeys struct {
	ctx    context.Context // bounds the reading in the background
	url    string
	client *http.Client
	log    *zap.Logger

	readMu sync.Mutex // one reading at a time

	mu       sync.RWMutex
	keys     jwt.Keyfunc // nil before the first reading that succeeded
	lastRead time.Time   // when the last reading ended, successful or not
	failing  bool
}

func (k *remoteKeys) reloadPeriodically() {
	for {
		wait := jwksInterval
		if keys, _ := k.currentKeys(); keys == nil {
			wait = jwksRetryInterval
		}
		t := time.NewTimer(wait)
		select {
		case <-k.ctx.Done():
			t.Stop()
			return
		case now := <-t.C:
			k.reloadKeys(now)
		}
	}
}

func (k *remoteKeys) currentKeys() (keys jwt.Keyfunc, asked time.Time) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.keys, k.lastRead
}

// findKey implements jwt.Keyfunc.
func (k *remoteKeys) findKey(t *jwt.Token) (any, error) {
	keys, asked := k.currentKeys()
	if keys == nil {
		return nil, ErrKeysUnavailable
	}
	key, err := keys(t)
	if !errors.Is(err, errUnknownKey) || time.Since(asked) < unknownKeyInterval {
		return key, err
	}
	k.reloadKeys(time.Now())
	keys, _ = k.currentKeys()
	return keys(t)
}

// reloadKeys reads the key set unless it was read after wanted.
func (k *remoteKeys) reloadKeys(wanted time.Time) {
	k.readMu.Lock()
	defer k.readMu.Unlock()
	if _, asked := k.currentKeys(); asked.After(wanted) {
		return
	}
	keys, err := k.readKeys()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lastRead = time.Now()
	if err == nil {
		k.keys = keys
	} else if !k.failing && k.ctx.Err() == nil { // log it once, not at every attempt
		k.log.Warn("the signing keys cannot be read", zap.String("url", k.url), zap.Error(err))
	}
	k.failing = err != nil
}

func (k *remoteKeys) readKeys() (jwt.Keyfunc, error) {
	ctx, cancel := context.WithTimeout(k.ctx, jwksTimeout)
	defer cancel()
	body, err := fetchBody(ctx, k.client, k.url, maxJWKS)
	if err != nil {
		return nil, err
	}
	return parseKeys(ctx, body)
}

// parseKeys reads a JWK set. A set without a key that could have signed a token is an error.
func parseKeys(ctx context.Context, body []byte) (jwt.Keyfunc, error) {
	set, err := keyfunc.NewJWKSetJSON(body)
	if err != nil {
		return nil, errors.New("the answer is not a key set") // the parser's error would quote it
	}
	all, err := set.Storage().KeyReadAll(ctx)
	if err != nil {
		return nil, fmt.Errorf("read key set: %w", err)
	}
	keys := map[string]ed25519.PublicKey{}
	for _, k := range all {
		if public, ok := k.Key().(ed25519.PublicKey); ok && k.Marshal().KID != "" {
			keys[k.Marshal().KID] = public
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the answer has no Ed25519 key")
	}
	return NewStaticKeys(keys), nil
}

// fetchBody reads an answer of at most limit bytes.
func fetchBody(ctx context.Context, client *http.Client, url string, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answered %d", res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("the answer has more than %d bytes", limit)
	}
	return body, nil
}
