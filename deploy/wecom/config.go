package main

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"
)

const usage = `usage: wecom

Takes Alertmanager's webhooks at /alerts and its watchdog at /watchdog, and sends messages to a WeCom group robot.
/metrics and /livez are on the same address.

environment:
  WECOM_HTTP      address to listen on (127.0.0.1:9096)
  WECOM_KEY_FILE  file with the robot's key. Without it, or while it is empty, messages are only written to the log
  WECOM_URL       where robots are (https://qyapi.weixin.qq.com/cgi-bin/webhook/send)
  WECOM_LANG      zh (default) or en
  WECOM_TIMEOUT   for one call to WeCom (5s)
  TZ              zone of the times in messages, such as Asia/Shanghai (this machine's)
  WECOM_PATIENCE  notify the group after so long without a watchdog (5m)
`

// Config is everything that can be set.
type Config struct {
	Addr            string
	KeyFile         string
	URL             string
	Lang            Language
	Timeout         time.Duration // for one call
	WatchdogTimeout time.Duration // without a watchdog
}

// NewConfig returns every default.
func NewConfig() Config {
	return Config{
		Addr: "127.0.0.1:9096", URL: "https://qyapi.weixin.qq.com/cgi-bin/webhook/send",
		Lang: Chinese, Timeout: 5 * time.Second, WatchdogTimeout: 5 * time.Minute,
	}
}

// readConfig reads the environment; an error names the variable and what it should be.
func readConfig(getenv func(string) string) (Config, error) {
	c := NewConfig()
	for name, target := range map[string]*string{"WECOM_HTTP": &c.Addr, "WECOM_KEY_FILE": &c.KeyFile, "WECOM_URL": &c.URL} {
		if v := getenv(name); v != "" {
			*target = v
		}
	}
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		return c, fmt.Errorf("WECOM_HTTP: %q is not an address such as 127.0.0.1:9096", c.Addr)
	}
	if u, err := url.Parse(c.URL); err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.RawQuery != "" {
		return c, fmt.Errorf("WECOM_URL: %q is not a URL without a query", c.URL)
	}
	if v := getenv("WECOM_LANG"); v != "" {
		c.Lang = Language(v)
	}
	if c.Lang != Chinese && c.Lang != English {
		return c, fmt.Errorf("WECOM_LANG: %q is neither zh nor en", c.Lang)
	}
	for name, target := range map[string]*time.Duration{"WECOM_TIMEOUT": &c.Timeout, "WECOM_PATIENCE": &c.WatchdogTimeout} {
		v := getenv(name)
		if v == "" {
			continue
		}
		d, err := time.ParseDuration(v)
		if err != nil || d <= 0 {
			return c, fmt.Errorf("%s: %q is not a duration such as 5s", name, v)
		}
		*target = d
	}
	return c, nil
}

// readKey reads the robot's key, at each message: a new one needs no restart. "" means that none is set up.
func (c Config) readKey() (string, error) {
	if c.KeyFile == "" {
		return "", nil
	}
	text, err := os.ReadFile(c.KeyFile)
	if os.IsNotExist(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the robot's key: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
