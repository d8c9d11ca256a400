package localserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Redis is an instance of Redis 6 or later. Its `default` user is off.
type Redis struct {
	Programs      Programs
	Data          string
	Etc           string
	Port          int
	AdminPassword string
	Scratch       bool // nothing is written to disk
}

// Prepare implements Instance. Accounts that were added with ACL SAVE are kept.
func (r Redis) Prepare(context.Context) (Command, error) {
	server, err := r.Programs.Redis()
	if err != nil {
		return Command{}, err
	}
	if r.AdminPassword == "" {
		return Command{}, errors.New("the Redis administrator's password is empty")
	}
	if err := makeDirs(r.Etc, r.Data); err != nil {
		return Command{}, err
	}
	// The server replaces this file by renaming (ACL SAVE), so it lives with the data.
	old, err := os.ReadFile(filepath.Join(r.Data, "users.acl"))
	if err != nil && !os.IsNotExist(err) {
		return Command{}, fmt.Errorf("read the accounts: %w", err)
	}
	acl, err := writeFile(r.Data, "users.acl", r.renderAccounts(string(old)))
	if err != nil {
		return Command{}, err
	}
	conf, err := writeFile(r.Etc, "redis.conf", r.renderConfig(acl))
	if err != nil {
		return Command{}, err
	}
	return Command{Path: server, Args: []string{conf}, Env: serverEnviron(r.Data), Dir: r.Data}, nil
}

// renderAccounts returns old with our two accounts as they must be, and everyone else's untouched.
func (r Redis) renderAccounts(old string) string {
	sum := sha256.Sum256([]byte(r.AdminPassword))
	lines := []string{
		// Off, it admits no one. Redis 7.0 reads its append-only file with its rights: without them
		// transactions, and so what scripts wrote, would be refused after a restart.
		"user default reset off ~* &* +@all",
		fmt.Sprintf("user %s reset on #%s ~* &* +@all", AdminUser, hex.EncodeToString(sum[:])),
	}
	for line := range strings.Lines(old) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "user" || f[1] == "default" || f[1] == AdminUser {
			continue
		}
		lines = append(lines, strings.TrimSpace(line))
	}
	return strings.Join(lines, "\n") + "\n"
}

func (r Redis) renderConfig(acl string) string {
	lines := []string{
		"# Written at every start.",
		"bind 127.0.0.1",
		fmt.Sprintf("port %d", r.Port),
		"protected-mode yes",
		"daemonize no",
		"supervised no",
		`logfile ""`,
		"dir " + quoteOption(r.Data),
		"aclfile " + quoteOption(acl),
		"maxmemory 256mb",
		"maxmemory-policy volatile-lru", // what has a time to live may go: it is in MySQL too
		`save ""`,
	}
	if r.Scratch {
		lines = append(lines, "appendonly no")
	} else {
		lines = append(lines, "appendonly yes", "appendfsync everysec", "aof-load-truncated yes")
	}
	return strings.Join(lines, "\n") + "\n"
}
