package serve_test

import (
	"io"
	"net/http"
	"testing"
	"time"
)

func TestHeadIsAnsweredAsGet(t *testing.T) {
	t.Parallel()
	p, _ := newProgram(t, time.Minute)
	s := start(t, p)
	res, err := http.Head("http://" + s.public + "/ok")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || len(body) != 0 || res.StatusCode != http.StatusOK || res.ContentLength != 2 {
		t.Errorf("got %d, length %d, body %q, %v", res.StatusCode, res.ContentLength, body, err)
	}
}
