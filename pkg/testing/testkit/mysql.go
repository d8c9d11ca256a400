package testkit

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Database is an empty database and an account with all rights on its server.
type Database struct {
	Addr     string // host:port
	User     string
	Password string
	Name     string
}

// NewDatabase creates an empty database (utf8mb4_unicode_ci) that is dropped when the test ends.
func NewDatabase(t testing.TB) Database {
	t.Helper()
	server, err := mysqlServer()
	if err != nil {
		t.Fatalf("this test needs MySQL: %v", err)
	}
	d := Database{Addr: server.addr, User: server.user, Password: server.password, Name: uniqueName(t, "t_")}
	execAsAdmin(t, d, "CREATE DATABASE `"+d.Name+"` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
	t.Cleanup(func() { execAsAdmin(t, d, "DROP DATABASE IF EXISTS `"+d.Name+"`") })
	return d
}

// NewOwnDatabase starts a server of the test's own, whose global settings the test may change, and returns an empty database on it.
// The server ends with the test.
func NewOwnDatabase(t testing.TB) Database {
	t.Helper()
	server, err := newScratch(t).MySQL(context.Background())
	if err != nil {
		t.Fatalf("this test needs a MySQL of its own: %v", err)
	}
	a, err := parseAccount("mysql://" + server.TestURL())
	if err != nil {
		t.Fatal(err)
	}
	d := Database{Addr: a.addr, User: a.user, Password: a.password, Name: uniqueName(t, "t_")}
	execAsAdmin(t, d, "CREATE DATABASE `"+d.Name+"` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
	return d
}

// DSN returns the database's address for go-sql-driver: times are parsed and in UTC, one statement a query.
func (d Database) DSN() string { return d.driverConfig().FormatDSN() }

// Open returns a pool on the database that is closed when the test ends.
func (d Database) Open(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", d.DSN())
	if err != nil {
		t.Fatalf("open the test database: %v", err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func (d Database) driverConfig() *mysql.Config {
	c := mysql.NewConfig()
	c.Net, c.Addr, c.User, c.Passwd, c.DBName = "tcp", d.Addr, d.User, d.Password, d.Name
	c.ParseTime, c.Loc = true, time.UTC
	c.Collation = "utf8mb4_unicode_ci"
	return c
}

// execAsAdmin runs a statement of the server's administrator, outside of the database.
func execAsAdmin(t testing.TB, d Database, statement string) {
	t.Helper()
	d.Name = ""
	db, err := sql.Open("mysql", d.DSN())
	if err != nil {
		t.Fatalf("open the test server: %v", err)
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := db.ExecContext(ctx, statement); err != nil {
		t.Errorf("%s: %v", statement, err)
	}
}
