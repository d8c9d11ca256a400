package localserver

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// MySQL is an instance of MariaDB, or of MySQL 8.4 and later if the machine has no MariaDB.
type MySQL struct {
	Programs      Programs
	Data          string // the data directory; made by Prepare
	Etc           string // where the configuration goes
	Socket        string // path of the Unix socket, at most 107 bytes; its directory is made by Prepare
	Port          int
	AdminPassword string
	// Scratch trades durability for speed: for data that need not outlive the machine's next crash.
	Scratch bool
}

// Prepare implements Instance. A data directory is made beside its place and moved there when it is complete, so a
// kill in the middle leaves nothing that a later start would take for data.
func (m MySQL) Prepare(ctx context.Context) (Command, error) {
	server, err := m.Programs.MySQL()
	if err != nil {
		return Command{}, err
	}
	if err := makeDirs(m.Etc, filepath.Dir(m.Data), m.temporaryDir()); err != nil {
		return Command{}, err
	}
	if err := makePrivateDir(filepath.Dir(m.Socket)); err != nil {
		return Command{}, err
	}
	if len(m.Socket) > maxSocketPath {
		return Command{}, fmt.Errorf("the socket's path is longer than %d bytes: %s", maxSocketPath, m.Socket)
	}
	if err := m.makeData(ctx, server); err != nil {
		return Command{}, err
	}
	accounts, err := m.renderAccounts()
	if err != nil {
		return Command{}, err
	}
	initFile, err := writeFile(m.Etc, "mysql-init.sql", accounts)
	if err != nil {
		return Command{}, err
	}
	conf, err := writeFile(m.Etc, "mysql.cnf", m.renderConfig(initFile))
	if err != nil {
		return Command{}, err
	}
	return Command{
		Path: server,
		Args: []string{"--defaults-file=" + conf},
		Env:  serverEnviron(m.Data),
		Dir:  m.Data,
	}, nil
}

// temporaryDir returns the server's own directory for temporary tables: a MariaDB that starts removes those that it finds, also
// when they are another one's, which then fails.
func (m MySQL) temporaryDir() string { return m.Data + ".tmp" }

func (m MySQL) renderConfig(initFile string) string {
	lines := []string{
		"# Written at every start.",
		"[mysqld]",
		"datadir=" + quoteOption(m.Data),
		"tmpdir=" + quoteOption(m.temporaryDir()),
		"socket=" + quoteOption(m.Socket),
		"pid-file=" + quoteOption(m.Socket+".pid"),
		"init-file=" + quoteOption(initFile),
		"bind-address=127.0.0.1",
		fmt.Sprintf("port=%d", m.Port),
		// Accounts are matched by address: a slow resolver never delays a login.
		"skip-name-resolve",
		"local-infile=OFF",
		"character-set-server=utf8mb4",
		"collation-server=utf8mb4_unicode_ci",
		"max-connections=300",
		"innodb-buffer-pool-size=128M",
		"skip-log-bin",
		"performance-schema=OFF",
		// MySQL's second protocol would take a port of its own.
		"loose-mysqlx=OFF",
		"loose-admin-port=0",
	}
	if m.Scratch {
		lines = append(lines,
			"innodb-flush-log-at-trx-commit=0",
			"loose-innodb-doublewrite=OFF",
			"innodb-buffer-pool-size=64M",
			"sync-binlog=0",
		)
	}
	if os.Geteuid() == 0 {
		lines = append(lines, "user=root")
	}
	return strings.Join(lines, "\n") + "\n"
}

// renderAccounts is run by the server before it accepts the first connection, at every start.
func (m MySQL) renderAccounts() (string, error) {
	admin, err := MySQLAccounts(m.AdminPassword)
	return admin + "ALTER USER IF EXISTS 'root'@'localhost' ACCOUNT LOCK;\n", err
}

// quoteOption makes s one value of an option file: backslashes are escapes there.
func quoteOption(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
