package account_test

import (
	"context"
	"strings"
	"testing"

	"pgo/bootcheck/account"
	"pgo/bootcheck/internal/fixture"
	"pgo/bootcheck/server"
)

// The account's name is a constant, so one test covers both servers and removes their accounts.
func TestMonitorSeesNoData(t *testing.T) {
	servers := fixture.Servers(t)
	s := fixture.NewService(t, servers)
	admin := openMySQL(t, servers.MySQL, "")
	if err := account.CreateMySQL(t.Context(), admin, servers.MySQL.Addr, s); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { execSQL(t, admin, "DROP USER IF EXISTS '"+account.Monitor+"'@'%'") })
	for _, password := range []string{"the-first-password", "the-first-password", `new'"\ password`} {
		if err := account.CreateMonitorMySQL(t.Context(), admin, servers.MySQL.Addr, password); err != nil {
			t.Fatal(err)
		}
		execSQL(t, admin, "GRANT SELECT ON `"+account.DatabaseName(s.Name)+"`.* TO '"+account.Monitor+"'@'%'") // the next call revokes it
	}
	if err := account.CreateMonitorMySQL(t.Context(), admin, servers.MySQL.Addr, `new'"\ password`); err != nil {
		t.Fatal(err)
	}
	own, table := account.DatabaseName(s.Name), "`"+account.DatabaseName(s.Name)+"`.a"
	execSQL(t, admin, "CREATE TABLE "+table+" (id INT PRIMARY KEY)")
	db := openMySQL(t, server.Access{Addr: servers.MySQL.Addr, Username: account.Monitor, Password: `new'"\ password`}, "")
	for _, query := range []string{"SHOW GLOBAL STATUS", "SHOW GLOBAL VARIABLES", "SELECT * FROM information_schema.INNODB_CMP", "SHOW ENGINE INNODB STATUS"} {
		rows, err := db.Query(query)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		rows.Close()
	}
	for _, query := range []string{"SELECT * FROM " + table, "INSERT INTO " + table + " VALUES (1)", "USE `" + own + "`", "SELECT * FROM mysql.user", "CREATE USER x", "SET GLOBAL max_connections = 10", "FLUSH STATUS"} {
		if _, err := db.Exec(query); err == nil {
			t.Errorf("allowed: %s", query)
		}
	}

	rdb := server.OpenRedis(servers.Redis)
	t.Cleanup(func() {
		rdb.Do(context.Background(), "ACL", "DELUSER", account.Monitor)
		rdb.Close()
	})
	for _, password := range []string{"the-first-password", "another-password"} {
		if _, err := account.CreateMonitorRedis(t.Context(), rdb, password); err != nil {
			t.Fatal(err)
		}
	}
	c := server.OpenRedis(server.Access{Addr: servers.Redis.Addr, Username: account.Monitor, Password: "another-password"})
	t.Cleanup(func() { c.Close() })
	for _, args := range [][]any{{"PING"}, {"INFO", "all"}, {"LATENCY", "LATEST"}, {"SLOWLOG", "LEN"}, {"CLIENT", "SETNAME", "x"}} {
		if err := c.Do(t.Context(), args...).Err(); err != nil {
			t.Errorf("%v: %v", args, err)
		}
	}
	for _, args := range [][]any{{"GET", "a"}, {"KEYS", "*"}, {"SCAN", "0"}, {"DBSIZE"}, {"CONFIG", "GET", "*"}, {"SLOWLOG", "GET"}, {"CLIENT", "LIST"}, {"ACL", "LIST"}, {"MONITOR"}, {"SET", "a", "1"}} {
		if err := c.Do(t.Context(), args...).Err(); err == nil || !strings.Contains(err.Error(), "NOPERM") {
			t.Errorf("%v: %v", args, err)
		}
	}
}
