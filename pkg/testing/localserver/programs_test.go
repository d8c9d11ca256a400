package localserver

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPrograms(t *testing.T) {
	tests := []struct {
		name    string
		files   []string
		look    func(Programs) (string, error)
		want    string
		missing string // the package
	}{
		{"MariaDB", []string{"/usr/sbin/mariadbd", "/usr/sbin/mysqld"}, Programs.MySQL, "/usr/sbin/mariadbd", ""},
		{"MySQL, off an ordinary user's PATH", []string{"/usr/sbin/mysqld"}, Programs.MySQL, "/usr/sbin/mysqld", ""},
		{"no MySQL", nil, Programs.MySQL, "", "mariadb-server"},
		{"on the PATH first", []string{"/opt/bin/redis-server", "/usr/bin/redis-server"}, Programs.Redis, "/opt/bin/redis-server", ""},
		{"Valkey", []string{"/usr/bin/valkey-server"}, Programs.Redis, "/usr/bin/valkey-server", ""},
		{"RabbitMQ's script, not the wrapper", []string{"/usr/sbin/rabbitmq-server", "/usr/lib/rabbitmq/bin/rabbitmq-server"}, Programs.RabbitMQ, "/usr/lib/rabbitmq/bin/rabbitmq-server", ""},
		{"the wrapper alone", []string{"/usr/sbin/rabbitmq-server"}, Programs.RabbitMQ, "", "rabbitmq-server"},
		{"the newest RabbitMQ", []string{"/usr/lib/rabbitmq/lib/rabbitmq_server-3.12.1/sbin/rabbitmq-server", "/usr/lib/rabbitmq/lib/rabbitmq_server-3.9.1/sbin/rabbitmq-server"}, Programs.RabbitMQ, "/usr/lib/rabbitmq/lib/rabbitmq_server-3.12.1/sbin/rabbitmq-server", ""},
		{"epmd inside of Erlang", []string{"/usr/lib/erlang/erts-13.1.5/bin/epmd"}, Programs.Epmd, "/usr/lib/erlang/erts-13.1.5/bin/epmd", ""},
		{"no nginx", nil, Programs.Nginx, "", "nginx"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			root := t.TempDir()
			for _, f := range tc.files {
				path := filepath.Join(root, f)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, nil, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			got, err := tc.look(Programs{Root: root, Path: "/opt/bin:/usr/bin"})
			if strings.TrimPrefix(got, root) != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			var missing *MissingError
			if errors.As(err, &missing) != (tc.missing != "") || (missing != nil && missing.Package != tc.missing) {
				t.Errorf("error %v, want one for package %q", err, tc.missing)
			}
		})
	}
}
