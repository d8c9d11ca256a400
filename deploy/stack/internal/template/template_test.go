package template

import (
	"strings"
	"testing"
)

func TestFill(t *testing.T) {
	filled, err := Fill("nginx.conf", "${DATA2} $host ${host}", map[string]string{"DATA2": "x"})
	if err != nil || filled != "x $host ${host}" {
		t.Errorf("filled %q, %v", filled, err)
	}
	_, err = Fill("nginx.conf", "${NGINX_DATA} $host ${NEW_ONE}", map[string]string{"NGINX_DATA": "x"})
	if err == nil || !strings.Contains(err.Error(), "nginx.conf: no value for ${NEW_ONE}") {
		t.Errorf("error %v", err)
	}
}
