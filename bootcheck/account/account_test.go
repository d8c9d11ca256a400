package account_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"pgo/bootcheck/account"
	"pgo/bootcheck/internal/fixture"
	"pgo/bootcheck/server"
	"pgo/pkg/mq"
)

func TestCheckName(t *testing.T) {
	tests := []struct {
		name string
		ok   bool
	}{
		{"user", true}, {"a1", true},
		{"", false}, {"User", false}, {"1a", false}, {"a-b", false}, {"a_b", false}, {"a`b", false}, {"a'b", false}, {"a b", false},
		{"a.b", false}, {"é", false}, {"user\n", false}, {strings.Repeat("a", 25), false}, {"root", false}, {"default", false}, {"guest", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := account.CheckName(tt.name); (err == nil) != tt.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

func openMySQL(t *testing.T, a server.Access, database string) *sql.DB {
	t.Helper()
	db, err := server.OpenMySQL(a, database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func execSQL(t *testing.T, db *sql.DB, query string) {
	t.Helper()
	if _, err := db.Exec(query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func TestMySQL(t *testing.T) {
	servers := fixture.Servers(t)
	s, other := fixture.NewService(t, servers), fixture.NewService(t, servers)
	admin := openMySQL(t, servers.MySQL, "")
	for _, svc := range []account.Service{s, other, s} { // idempotent
		if err := account.CreateMySQL(t.Context(), admin, servers.MySQL.Addr, svc); err != nil {
			t.Fatal(err)
		}
	}
	own, others := account.DatabaseName(s.Name), account.DatabaseName(other.Name)
	execSQL(t, admin, "CREATE TABLE `"+own+"`.a (id INT PRIMARY KEY)")
	execSQL(t, admin, "CREATE TABLE `"+others+"`.a (id INT PRIMARY KEY)")
	// The underscore in the database's name would match this name as a pattern.
	near := strings.Replace(own, "_", "x", 1)
	execSQL(t, admin, "CREATE DATABASE `"+near+"`")
	t.Cleanup(func() { execSQL(t, admin, "DROP DATABASE `"+near+"`") })
	execSQL(t, admin, "CREATE TABLE `"+near+"`.a (id INT PRIMARY KEY)")

	db := openMySQL(t, server.Access{Addr: servers.MySQL.Addr, Username: s.Name, Password: s.MySQLPassword}, own)
	for _, query := range []string{"INSERT INTO a VALUES (1)", "UPDATE a SET id = 2", "SELECT * FROM a", "DELETE FROM a", "SELECT GET_LOCK('x', 0)"} {
		execSQL(t, db, query)
	}
	forbidden := []string{
		"CREATE TABLE b (id INT)", "ALTER TABLE a ADD COLUMN b INT", "DROP TABLE a", "TRUNCATE a", "CREATE INDEX i ON a (id)",
		"LOCK TABLES a READ", "CREATE VIEW v AS SELECT 1", "CREATE PROCEDURE p() SELECT 1",
		"SELECT * FROM `" + others + "`.a", "INSERT INTO `" + others + "`.a VALUES (1)", "SELECT * FROM `" + near + "`.a", "SELECT * FROM mysql.user",
		"CREATE DATABASE pgo_more", "CREATE USER x", "GRANT SELECT ON a TO '" + other.Name + "'@'%'", "SET GLOBAL max_connections = 10", "FLUSH PRIVILEGES",
		"SELECT * FROM a INTO OUTFILE '/tmp/pgo_outfile'",
	}
	for _, query := range forbidden {
		if _, err := db.Exec(query); err == nil {
			t.Errorf("allowed: %s", query)
		}
	}
}

func TestCreateMySQLCorrectsPasswordAndRights(t *testing.T) {
	servers := fixture.Servers(t)
	s := fixture.NewService(t, servers)
	admin := openMySQL(t, servers.MySQL, "")
	if err := account.CreateMySQL(t.Context(), admin, servers.MySQL.Addr, s); err != nil {
		t.Fatal(err)
	}
	execSQL(t, admin, "GRANT DROP ON `"+account.DatabaseName(s.Name)+"`.* TO '"+s.Name+"'@'%'")
	execSQL(t, admin, "GRANT PROCESS ON *.* TO '"+s.Name+"'@'%'")
	old := s.MySQLPassword
	s.MySQLPassword = `new'"\ password`
	if err := account.CreateMySQL(t.Context(), admin, servers.MySQL.Addr, s); err != nil {
		t.Fatal(err)
	}
	if err := openMySQL(t, server.Access{Addr: servers.MySQL.Addr, Username: s.Name, Password: old}, "").Ping(); err == nil {
		t.Error("the old password still works")
	}
	db := openMySQL(t, server.Access{Addr: servers.MySQL.Addr, Username: s.Name, Password: s.MySQLPassword}, account.DatabaseName(s.Name))
	rows, err := db.Query("SHOW GRANTS")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	count := 0
	for rows.Next() {
		var grant string
		if err := rows.Scan(&grant); err != nil {
			t.Fatal(err)
		}
		count++
		if strings.Contains(grant, "DROP") || strings.Contains(grant, "PROCESS") {
			t.Errorf("left: %s", grant)
		}
	}
	if count != 2 {
		t.Errorf("%d grants", count)
	}
}

func TestRedis(t *testing.T) {
	servers := fixture.Servers(t)
	s := fixture.NewService(t, servers)
	admin := server.OpenRedis(servers.Redis)
	t.Cleanup(func() { admin.Close() })
	if there, err := account.ExistsInRedis(t.Context(), admin, s.Name); there || err != nil {
		t.Errorf("before: %v, %v", there, err)
	}
	for range 2 {
		if _, err := account.CreateRedis(t.Context(), admin, s); err != nil {
			t.Fatal(err)
		}
	}
	if there, err := account.ExistsInRedis(t.Context(), admin, s.Name); !there || err != nil {
		t.Errorf("after: %v, %v", there, err)
	}
	c := server.OpenRedis(server.Access{Addr: servers.Redis.Addr, Username: s.Name, Password: s.RedisPassword})
	t.Cleanup(func() { c.Close() })
	own, other := s.Name+":k", "other:k"
	allowed := [][]any{
		{"SET", own, "1"}, {"GET", own}, {"EXPIRE", own, "60"}, {"PUBLISH", own, "x"}, {"INCR", own}, {"HSET", own + "h", "a", "1"},
		{"EVAL", "return redis.call('GET', KEYS[1])", "1", own}, {"SCRIPT", "LOAD", "return 1"}, {"UNLINK", own, own + "h"}, {"PING"},
	}
	for _, args := range allowed {
		if err := c.Do(t.Context(), args...).Err(); err != nil && !errors.Is(err, redis.Nil) {
			t.Errorf("%v: %v", args, err)
		}
	}
	forbidden := [][]any{
		{"SET", other, "1"}, {"GET", other}, {"PUBLISH", other, "x"}, {"RENAME", own, other}, {"EVAL", "return redis.call('GET', KEYS[1])", "1", other},
		{"KEYS", "*"}, {"SCAN", "0"}, {"RANDOMKEY"}, {"DBSIZE"}, {"FLUSHALL"}, {"FLUSHDB"}, {"CONFIG", "GET", "*"}, {"ACL", "LIST"}, {"SHUTDOWN"},
		{"MONITOR"}, {"CLIENT", "LIST"}, {"SCRIPT", "FLUSH"}, {"FUNCTION", "LIST"}, {"SAVE"}, {"INFO"}, {"PUBSUB", "CHANNELS"}, {"REPLICAOF", "NO", "ONE"},
	}
	for _, args := range forbidden {
		if err := c.Do(t.Context(), args...).Err(); err == nil || !strings.Contains(err.Error(), "NOPERM") && !strings.Contains(err.Error(), "permissions") && !strings.Contains(err.Error(), "can't access") {
			t.Errorf("%v: %v", args, err)
		}
	}
	s.RedisPassword = "another password"
	if _, err := account.CreateRedis(t.Context(), admin, s); err != nil {
		t.Fatal(err)
	}
	fresh := server.OpenRedis(server.Access{Addr: servers.Redis.Addr, Username: s.Name, Password: s.RedisPassword})
	defer fresh.Close()
	if err := fresh.Ping(t.Context()).Err(); err != nil {
		t.Errorf("new password: %v", err)
	}
}

func TestRabbitMQ(t *testing.T) {
	servers := fixture.Servers(t)
	s := fixture.NewService(t, servers)
	r := servers.RabbitMQ
	m := server.NewManagement(r)
	if there, err := account.AllInRabbitMQ(t.Context(), m, r.Vhost, []string{s.Name}); there || err != nil {
		t.Errorf("before: %v, %v", there, err)
	}
	for range 2 {
		if err := account.CreateVhost(t.Context(), m, r.Vhost, r.Username); err != nil {
			t.Fatal(err)
		}
		if err := account.CreateRabbitMQ(t.Context(), m, r.Vhost, s); err != nil {
			t.Fatal(err)
		}
	}
	if there, err := account.AllInRabbitMQ(t.Context(), m, r.Vhost, []string{s.Name}); !there || err != nil {
		t.Errorf("after: %v, %v", there, err)
	}
	own := mq.Config{Addr: r.Addr, Vhost: r.Vhost, Username: s.Name, Password: s.RabbitMQPassword}
	topology := mq.Topology{Queues: []mq.Queue{{Name: s.Name + ".events", Bindings: []string{"a.b"}}}}
	if err := mq.Declare(context.Background(), own, topology); err == nil || !strings.Contains(err.Error(), "ACCESS_REFUSED") {
		t.Errorf("a service may declare: %v", err)
	}
	if err := mq.Declare(context.Background(), r.AMQPConfig(r.Vhost), topology); err != nil {
		t.Fatal(err)
	}
	// The account has no access to another vhost.
	if err := mq.Declare(context.Background(), mq.Config{Addr: r.Addr, Vhost: "/", Username: s.Name, Password: s.RabbitMQPassword}); err == nil {
		t.Error("a service may use another vhost")
	}
	// It has no access to the management API.
	as := r
	as.Username, as.Password = s.Name, s.RabbitMQPassword
	if err := server.NewManagement(as).Do(t.Context(), "GET", nil, nil, "overview"); err == nil {
		t.Error("a service may use the management API")
	}
}
