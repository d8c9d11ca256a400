package probe

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"

	"pgo/bootcheck/server"
)

// A server that answers may still take no write: it is a replica, its memory or disk is full. So the gate writes, into a table, a
// key and a queue that are its own.

// Database is the gate's own database on MySQL, with the table that it writes to.
const Database = "pgo_bootcheck"

const createProbeTable = `CREATE TABLE IF NOT EXISTS ` + Database + `.probe (
	id INT NOT NULL PRIMARY KEY,
	written_at DATETIME(6) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci`

const (
	errNoSuchDatabase = 1049
	errNoSuchTable    = 1146
)

// WriteMySQL returns an error if the server serves administrators only or takes no writes. db is an administrator's pool.
func WriteMySQL(ctx context.Context, db *sql.DB) error {
	if err := checkModes(ctx, db); err != nil {
		return err
	}
	write := func() error {
		_, err := db.ExecContext(ctx, "INSERT INTO "+Database+".probe (id, written_at) VALUES (1, UTC_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE written_at = VALUES(written_at)")
		return err
	}
	err := write()
	var serverErr *mysql.MySQLError
	if errors.As(err, &serverErr) && (serverErr.Number == errNoSuchDatabase || serverErr.Number == errNoSuchTable) {
		for _, create := range []string{"CREATE DATABASE IF NOT EXISTS " + Database + " CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci", createProbeTable} {
			if _, err := db.ExecContext(ctx, create); err != nil {
				return fmt.Errorf("create the gate's own table: %w", simplifyError(err))
			}
		}
		err = write()
	}
	if errors.As(err, &serverErr) {
		return fmt.Errorf("it refuses a write: error %d: %s", serverErr.Number, serverErr.Message)
	}
	if err != nil {
		return simplifyError(err)
	}
	return nil
}

// checkModes returns an error if the server is in a mode that an administrator's account may not notice.
func checkModes(ctx context.Context, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, "SHOW GLOBAL VARIABLES WHERE variable_name IN ('read_only', 'super_read_only', 'offline_mode')")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return err
		}
		switch isOff := value == "OFF" || value == "0"; {
		case isOff:
		case name == "offline_mode":
			return errors.New("it is in offline mode, which lets administrators in only: SET GLOBAL offline_mode = OFF")
		default:
			return errors.New("it is read-only")
		}
	}
	return rows.Err()
}

// probeTTL bounds how long a key or a queue of the gate stays, if the gate ends before it removes it.
const probeTTL = time.Minute

// WriteRedis returns an error if the server takes no writes. prefix begins the key that is written.
func WriteRedis(ctx context.Context, c *redis.Client, prefix string) error {
	err := c.Set(ctx, prefix+"bootcheck:probe", 1, probeTTL).Err()
	if err == nil {
		return nil
	}
	reply := err.Error()
	switch code, _, _ := strings.Cut(reply, " "); code {
	case "OOM":
		return errors.New("it refuses a write, since its memory is full: raise maxmemory or set an eviction policy")
	case "READONLY":
		return errors.New("it refuses a write, since it is a read-only replica")
	case "NOREPLICAS":
		return errors.New("it refuses a write, since fewer replicas are connected than min-replicas-to-write")
	case "MISCONF":
		return errors.New("it refuses a write, since it cannot save its data to disk: its log tells why")
	case "LOADING", "MASTERDOWN", "NOAUTH", "WRONGPASS", "NOPERM":
		return fmt.Errorf("it refuses a write (%s)", reply)
	}
	return simplifyError(err)
}

// CheckAlarms returns an error while the broker has an alarm: it accepts connections then and blocks everyone who publishes.
func CheckAlarms(ctx context.Context, m *server.Management) error {
	err := m.Do(ctx, http.MethodGet, nil, nil, "health", "checks", "alarms")
	var status *server.StatusError
	switch {
	case errors.As(err, &status) && status.Status == http.StatusServiceUnavailable:
		return fmt.Errorf("it has an alarm (%s) and takes no messages: free memory or disk, or raise the limit", describeAlarms(status.Body))
	case err != nil:
		return simplifyError(err)
	}
	return nil
}

// describeAlarms returns the resources of the alarms in a response, which may be cut off.
func describeAlarms(body string) string {
	var found []string
	for _, resource := range []string{"memory", "disk", "file_descriptor_limit"} {
		if strings.Contains(body, `"`+resource+`"`) {
			found = append(found, resource)
		}
	}
	if len(found) == 0 {
		return body
	}
	return strings.Join(found, ", ")
}

// SendMessage sends a message to a queue of its own in the vhost and reads it back. name makes the queue unique.
func SendMessage(ctx context.Context, m *server.Management, vhost, name string) error {
	queue := "pgo.bootcheck." + name
	declare := map[string]any{"durable": true, "arguments": map[string]any{"x-expires": probeTTL.Milliseconds(), "x-message-ttl": probeTTL.Milliseconds()}}
	if err := m.Do(ctx, http.MethodPut, declare, nil, "queues", vhost, queue); err != nil {
		return fmt.Errorf("declare a queue: %w", err)
	}
	defer func() {
		_ = m.Do(context.WithoutCancel(ctx), http.MethodDelete, nil, nil, "queues", vhost, queue) // it expires anyway
	}()
	var sent struct{ Routed bool }
	message := map[string]any{"routing_key": queue, "payload": name, "payload_encoding": "string", "properties": map[string]any{}}
	if err := m.Do(ctx, http.MethodPost, message, &sent, "exchanges", vhost, "amq.default", "publish"); err != nil {
		return fmt.Errorf("send a message: %w", err)
	}
	var received []struct{ Payload json.RawMessage }
	get := map[string]any{"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"}
	if err := m.Do(ctx, http.MethodPost, get, &received, "queues", vhost, queue, "get"); err != nil {
		return fmt.Errorf("read a message: %w", err)
	}
	if !sent.Routed || len(received) != 1 {
		return fmt.Errorf("a message to the queue %s did not arrive", queue)
	}
	return nil
}
