package processfile

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMaskSecrets(t *testing.T) {
	env := map[string]string{
		"MYSQL_PASSWORD": "hunter22", "MYSQL_PASSWORD_FILE": "/run/secrets/mysql", "API_TOKEN": "abcdefgh", "api_key": "k", "MYSQL_PWD": "p", "PASS": "q",
		"URL": "https://user:pass@example.org/", "SITE": "https://example.org/a@b", "CERT": "-----BEGIN PRIVATE KEY-----\n", "OPTIONS": "--password=hunter22 -v",
		"KEYBOARD": "us", "PWD": "/srv", "LOG_LEVEL": "debug", "COMPASS": "north", "EMPTY_SECRET": "",
	}
	want := map[string]string{
		"MYSQL_PASSWORD": "***", "MYSQL_PASSWORD_FILE": "/run/secrets/mysql", "API_TOKEN": "***", "api_key": "***", "MYSQL_PWD": "***", "PASS": "***",
		"URL": "***", "SITE": "https://example.org/a@b", "CERT": "***", "OPTIONS": "***",
		"KEYBOARD": "us", "PWD": "/srv", "LOG_LEVEL": "debug", "COMPASS": "north", "EMPTY_SECRET": "",
	}
	if diff := cmp.Diff(want, MaskSecrets(env)); diff != "" {
		t.Error(diff)
	}
	if env["API_TOKEN"] != "abcdefgh" {
		t.Error("the environment itself was changed")
	}
}
