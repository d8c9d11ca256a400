package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"gorm.io/gorm"

	"pgo/pkg/cache"
	"pgo/pkg/command"
	"pgo/services/user"
	"pgo/services/user/store"
)

// adminCommand manages admins from the command line, for operators without an admin account or its password.
func adminCommand(environ []string) *cobra.Command {
	admin := command.NewGroup("admin", "Manage platform admins")
	admin.AddCommand(createAdmin(environ), setPassword(environ))
	return admin
}

func createAdmin(environ []string) *cobra.Command {
	var r user.Registration
	var passwordFile string
	var ifMissing bool
	c := &cobra.Command{
		Use: "create", Short: "Create an admin; without --password-file, print a random password", Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			var note string
			if r.Password, note, err = passwordFor(r.Email, passwordFile); err != nil {
				return err
			}
			err = withUsers(environ, func(s *user.Service) error { _, err := s.CreateAdmin(cmd.Context(), r); return err })
			if ifMissing && errors.Is(err, user.ErrEmailTaken) {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s exists already\n", r.Email)
			} else if err == nil {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "created admin %s%s\n", r.Email, note)
			}
			return err
		},
	}
	addPasswordFlags(c, &r.Email, &passwordFile)
	c.Flags().StringVar(&r.Name, "name", "Administrator", "the name")
	c.Flags().BoolVar(&ifMissing, "if-missing", false, "succeed if an account with this address exists")
	return c
}

func setPassword(environ []string) *cobra.Command {
	var email, passwordFile string
	c := &cobra.Command{
		Use: "password", Short: "Set an account's password and end its sessions; without --password-file, print a random one", Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			password, note, err := passwordFor(email, passwordFile)
			if err != nil {
				return err
			}
			if err := withUsers(environ, func(s *user.Service) error { return s.SetPassword(cmd.Context(), email, password) }); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "set the password of %s%s\n", email, note)
			return err
		},
	}
	addPasswordFlags(c, &email, &passwordFile)
	return c
}

func addPasswordFlags(c *cobra.Command, email, passwordFile *string) {
	c.Flags().StringVar(email, "email", "", "the address to sign in with")
	c.Flags().StringVar(passwordFile, "password-file", "", "a file that holds the password")
}

// passwordFor returns the password in file, or a random one with a note that shows it.
func passwordFor(email, file string) (password, note string, err error) {
	if email == "" {
		return "", "", command.MarkUsage(errors.New("--email is required"))
	}
	if file == "" {
		password = rand.Text()
		return password, " with password " + password, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", "", fmt.Errorf("read the password: %w", err)
	}
	return strings.TrimRight(string(text), "\r\n"), "", nil
}

// withUsers calls fn with a service on the configured database. The relay of the running service publishes the events.
func withUsers(environ []string, fn func(*user.Service) error) error {
	cfg, err := load(environ)
	if err != nil {
		return err
	}
	hasher, err := user.NewHasher()
	if err != nil {
		return err
	}
	return command.WithDatabase(cfg.MySQL, cfg.Redis, func(db *gorm.DB, c *cache.Cache) error {
		users := store.New(db, c, "user", func() {})
		return fn(&user.Service{Reader: users, Writer: users, Hasher: hasher, Now: func() time.Time { return time.Now().UTC() }})
	})
}
