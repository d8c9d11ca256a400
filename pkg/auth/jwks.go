package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/zap"
	"golang.org/x/time/rate"
)

const (
	jwksEvery      = 5 * time.Minute  // how often the key set is read again
	jwksUnknownKey = 10 * time.Second // a token with an unknown key causes a reading at most this often
	jwksTimeout    = 2 * time.Second
)

// RemoteKeys is the key source of the other services: the JWK set at url, read in the background until ctx
// ends and kept while its server is away. Before the first reading it returns ErrKeysUnavailable.
func RemoteKeys(ctx context.Context, url string, client *http.Client, log *zap.Logger) (jwt.Keyfunc, error) {
	kf, err := keyfunc.NewDefaultOverrideCtx(ctx, []string{url}, keyfunc.Override{
		Client: client, HTTPTimeout: jwksTimeout, RefreshInterval: jwksEvery,
		RefreshUnknownKID: rate.NewLimiter(rate.Every(jwksUnknownKey), 1), RateLimitWaitMax: time.Millisecond, // refuse at once, never hold a request up
		RefreshErrorHandlerFunc: func(u string) func(context.Context, error) {
			return func(_ context.Context, err error) {
				log.Warn("read signing keys", zap.String("url", u), zap.Error(err))
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("follow signing keys at %s: %w", url, err)
	}
	return func(t *jwt.Token) (any, error) {
		key, err := kf.Keyfunc(t)
		if err == nil {
			return key, nil
		}
		if all, readErr := kf.Storage().KeyReadAll(ctx); readErr != nil || len(all) == 0 {
			return nil, errors.Join(ErrKeysUnavailable, err)
		}
		return nil, err
	}, nil
}
