package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// gateway is an nginx in front of an app, with the settings of the suite's own.
type gateway struct {
	addr string
	cmd  *exec.Cmd
}

const nginxConf = `%s
daemon off;
worker_processes 1;
pid "%[2]s/nginx.pid";
error_log "%[2]s/error.log" warn;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path "%[2]s/body";
    proxy_temp_path "%[2]s/proxy";
    fastcgi_temp_path "%[2]s/fastcgi";
    uwsgi_temp_path "%[2]s/uwsgi";
    scgi_temp_path "%[2]s/scgi";
    upstream app {
        server %[3]s max_fails=0;
        server %[3]s max_fails=0;
        keepalive 32;
        keepalive_timeout 5s;
    }
    server {
        listen %[4]s;
        location / {
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_next_upstream error timeout;
            proxy_next_upstream_tries 2;
        }
    }
}
`

// startGateway needs nginx; without one the error says so.
func startGateway(ctx context.Context, dir, upstream string) (*gateway, error) {
	program, err := exec.LookPath("nginx")
	if err != nil {
		return nil, fmt.Errorf("there is no nginx: %w", err)
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	user := ""
	if os.Getuid() == 0 {
		user = "user root;"
	}
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, user, dir, upstream, addr), 0o600); err != nil {
		return nil, err
	}
	g := &gateway{addr: addr, cmd: exec.Command(program, "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", conf)}
	g.cmd.Stderr = os.Stderr
	if err := g.cmd.Start(); err != nil {
		return nil, err
	}
	err = await(10*time.Second, "nginx answers", func() error {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err
	})
	if err != nil || ctx.Err() != nil {
		g.stop()
	}
	return g, err
}

func (g *gateway) stop() {
	_ = g.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	_ = g.cmd.Wait()
}

// freeAddr is a loopback address whose port is free now.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
