package compose

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"pgo/pkg/testing/localserver"
)

// MySQLContainer runs a MySQL for tests from an image, with the settings of docker-compose.yml.
type MySQLContainer struct {
	id, dir  string
	addr     string
	password string
}

const startTimeout = 3 * time.Minute // of a first start on a slow disk

// StartMySQL runs an image on a free loopback port and returns when it serves. Close removes the container with its data. root
// is a checkout with the programs of `make build`.
func StartMySQL(ctx context.Context, root, image string) (*MySQLContainer, error) {
	if err := CheckEngine(ctx); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pgo-mysql-") // closed to other users; the files in it are readable by the image's user
	if err != nil {
		return nil, fmt.Errorf("create a directory for MySQL's accounts: %w", err)
	}
	s := &MySQLContainer{dir: dir, password: rand.Text()}
	if err := s.start(ctx, root, image); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *MySQLContainer) start(ctx context.Context, root, image string) error {
	accounts, err := localserver.MySQLAccounts(s.password)
	if err != nil {
		return err
	}
	secrets := filepath.Join(s.dir, "secrets")
	for name, content := range map[string]string{"accounts.sql": accounts, "root_password": rand.Text(), "admin_password": s.password} {
		if err := writePublic(secrets, name, content); err != nil {
			return fmt.Errorf("write MySQL's accounts: %w", err)
		}
	}
	output, err := runDocker(ctx, "run", "--detach", "--rm", "--publish", "127.0.0.1::3306", "--label", "pgo.scratch=mysql",
		"--env", "MYSQL_ROOT_PASSWORD_FILE=/run/secrets/root_password", "--env", "MYSQL_ROOT_HOST=localhost",
		"--volume", filepath.Join(root, "deploy", "compose", "mysql")+":/etc/mysql/conf.d:ro", "--volume", secrets+":/run/secrets:ro", image)
	if err != nil {
		return fmt.Errorf("start %s: %s", image, lastLine(output))
	}
	s.id = lastLine(output)
	if output, err = runDocker(ctx, "port", s.id, "3306/tcp"); err != nil {
		return fmt.Errorf("find the port of %s: %s", image, lastLine(output))
	}
	s.addr = lastLine(output)
	if _, _, err := net.SplitHostPort(s.addr); err != nil {
		return fmt.Errorf("find the port of %s: %w", image, err)
	}
	return s.awaitServing(ctx, root, image)
}

func (s *MySQLContainer) awaitServing(ctx context.Context, root, image string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		probe := exec.CommandContext(ctx, filepath.Join(root, "bin", "probe"), "mysql", "--addr="+s.addr, "--password-file="+filepath.Join(s.dir, "secrets", "admin_password"))
		output, err := probe.CombinedOutput()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			log, _ := runDocker(context.WithoutCancel(ctx), "logs", "--tail", "15", s.id)
			return fmt.Errorf("%s does not serve: %w: %s\n%s", image, err, strings.TrimSpace(string(output)), indent([]byte(log)))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// TestURL returns the value of PGO_TEST_MYSQL for the server.
func (s *MySQLContainer) TestURL() string {
	return localserver.AdminUser + ":" + s.password + "@" + s.addr
}

// Close removes the container and its data.
func (s *MySQLContainer) Close() error {
	var err error
	if s.id != "" {
		if output, failed := runDocker(context.Background(), "rm", "--force", "--volumes", s.id); failed != nil {
			err = fmt.Errorf("remove the container of MySQL: %s", lastLine(output))
		}
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}
