package main

import (
	"context"
	"errors"
	"io"
	"time"

	"pgo/pkg/auth"
	"pgo/pkg/httpx"
	"pgo/pkg/serve"
	"pgo/pkg/service"
	"pgo/services/user"
	"pgo/services/user/events"
	"pgo/services/user/httpapi"
	"pgo/services/user/mail"
	"pgo/services/user/migrations"
	"pgo/services/user/openapi"
	"pgo/services/user/store"
	"pgo/services/user/throttle"
	"pgo/services/user/token"
)

const (
	pruneInterval = 10 * time.Minute
	resetInterval = 500 * time.Millisecond // how long a request for a reset mail waits at most
)

// runService opens the service's parts, builds its domain on them, and serves until ctx ends.
func runService(ctx context.Context, environ []string, stdout io.Writer) (err error) {
	cfg, err := load(environ)
	if err != nil {
		return err
	}
	rt, err := service.Open(ctx, service.Options{Name: name, Config: cfg.Config, Migrations: migrations.FS, Environ: environ, Stdout: stdout})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rt.Close()) }()
	current := service.NewReloadable(rt, cfg, func() (Config, error) { return load(environ) })
	current.MarkLive("auth.access_ttl", "auth.refresh_ttl", "auth.refresh_grace", "login")

	now := func() time.Time { return time.Now().UTC() }
	users := store.New(rt.DB, rt.Cache, name, rt.Relay.Notify)
	keys, err := token.ParseKeys([]byte(cfg.Auth.SigningKey.Reveal()))
	if err != nil {
		return err
	}
	issuer := &token.Issuer{
		Keys: keys, Issuer: cfg.Auth.Issuer, Audience: cfg.Auth.Audience, Now: now,
		Lifetime: func() time.Duration { return current.Current().Auth.AccessTTL },
	}
	ended := auth.NewRevocationList(users, auth.MaxLifetime, rt.Registry, rt.Log.Logger)
	rt.FollowRevocations(ended)
	verifier, err := auth.NewVerifier(cfg.Auth.Issuer, cfg.Auth.Audience, auth.NewStaticKeys(keys.PublicKeys()), ended, now)
	if err != nil {
		return err
	}
	hasher, err := user.NewHasher()
	if err != nil {
		return err
	}
	limits := throttle.New(rt.Redis, cfg.Redis.Prefix, func() throttle.Limits { return current.Current().Login }, rt.Log.Logger)
	rt.Registry.MustRegister(limits)
	domain := &user.Service{
		Reader: users, Writer: users, Sessions: users, Lister: users, Resets: users, Throttle: limits,
		Signer: issuer, Devices: issuer, EndedSessions: ended, Hasher: hasher, Now: now,
		RefreshTTL:   func() time.Duration { return current.Current().Auth.RefreshTTL },
		RefreshGrace: func() time.Duration { return current.Current().Auth.RefreshGrace },
	}
	sender, err := cfg.Mail.newSender()
	if err != nil {
		return err
	}
	counted := mail.NewCounted(sender, cfg.Mail.SMTP.Addr != "" || isDevelopment(environ), rt.Registry)
	rt.Health.Optional("mail", counted.Check)
	mailer := &user.Mailer{Store: users, Sender: counted, BaseURL: cfg.Mail.BaseURL, Now: now}

	engine, err := rt.NewEngine(openapi.JSON)
	if err != nil {
		return err
	}
	httpapi.New(domain, keys.JWKS()).Register(engine, verifier)
	engine.GET(auth.EndedSessionsPath, httpx.Handle(auth.ServeEndedSessions(ended)))
	return service.Run(ctx, rt, current, engine,
		rt.NewConsumer("mailer", events.NewMailConsumer(mailer)),
		serve.Periodic("resets", resetInterval, domain.HandleResetRequests, rt.Log.Logger),
		serve.Periodic("prune", pruneInterval, users.Prune, rt.Log.Logger))
}
