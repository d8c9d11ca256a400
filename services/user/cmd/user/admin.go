package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"

	"pgo/pkg/cache"
	"pgo/pkg/command"
	"pgo/pkg/mysql"
	"pgo/services/user"
	"pgo/services/user/store"
)

// adminCommand makes admins from the command line, since only an admin can make one over the API.
func adminCommand(environ []string) *cobra.Command {
	admin := command.Group("admin", "Manage platform admins")
	var r user.Registration
	var passwordFile string
	var ifMissing bool
	create := &cobra.Command{
		Use: "create", Short: "Make an admin; without --password-file, print a random password", Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if r.Email == "" {
				return command.Usage(errors.New("--email is needed"))
			}
			generated := passwordFile == ""
			r.Password = rand.Text()
			if !generated {
				text, err := os.ReadFile(passwordFile)
				if err != nil {
					return fmt.Errorf("read the password: %w", err)
				}
				r.Password = strings.TrimRight(string(text), "\r\n")
			}
			err := createAdmin(cmd, environ, r)
			switch {
			case ifMissing && errors.Is(err, user.ErrEmailTaken):
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is there already\n", r.Email)
			case err != nil:
			case generated:
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "made admin %s with password %s\n", r.Email, r.Password)
			default:
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "made admin %s\n", r.Email)
			}
			return err
		},
	}
	create.Flags().StringVar(&r.Email, "email", "", "the address to sign in with")
	create.Flags().StringVar(&r.Name, "name", "Administrator", "the name")
	create.Flags().StringVar(&passwordFile, "password-file", "", "a file that holds the password")
	create.Flags().BoolVar(&ifMissing, "if-missing", false, "an account with this address is no error")
	admin.AddCommand(create)
	return admin
}

func createAdmin(cmd *cobra.Command, environ []string, r user.Registration) (err error) {
	cfg, err := load(environ)
	if err != nil {
		return err
	}
	reg := prometheus.NewRegistry()
	db, err := mysql.Open(cfg.MySQL, noop.NewTracerProvider(), reg)
	if err != nil {
		return err
	}
	pool, err := db.DB()
	if err != nil {
		return fmt.Errorf("take the pool: %w", err)
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	redis := cache.Open(cfg.Redis)
	defer func() { err = errors.Join(err, redis.Close()) }()
	hasher, err := user.NewHasher()
	if err != nil {
		return err
	}
	// The service's relay publishes the event: it polls the outbox.
	users := store.New(db, cache.New(redis, cfg.Redis, reg, zap.NewNop()), "user", func() {})
	service := &user.Service{Writer: users, Hasher: hasher, Now: func() time.Time { return time.Now().UTC() }}
	_, err = service.CreateAdmin(cmd.Context(), r)
	return err
}
