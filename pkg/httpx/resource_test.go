package httpx_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"pgo/pkg/httpx"
)

const anID = "0190a000-0000-7000-8000-000000000001"

func TestRejectQuery(t *testing.T) {
	e := newEdge(t, nil, nil)
	e.GET("/plain", httpx.Handle(func(c *gin.Context) error {
		if err := httpx.RejectQuery(c); err != nil {
			return err
		}
		c.Status(http.StatusNoContent)
		return nil
	}))
	e.POST("/read", httpx.Handle(func(c *gin.Context) error {
		var got input
		if err := httpx.ReadBody(c, &got); err != nil {
			return err
		}
		c.String(http.StatusOK, got.Name)
		return nil
	}))
	e.GET("/one/:id", httpx.Handle(func(c *gin.Context) error {
		id, err := httpx.ReadPathID(c, "id")
		if err != nil {
			return err
		}
		c.String(http.StatusOK, id)
		return nil
	}))
	e.GET("/two/:id/:user_id", httpx.Handle(func(c *gin.Context) error {
		id, userID, err := httpx.ReadPathIDs(c, "id", "user_id")
		if err != nil {
			return err
		}
		c.String(http.StatusOK, id+" "+userID)
		return nil
	}))
	other := strings.Replace(anID, "1", "2", 1)
	for _, tc := range []struct {
		method, target, body string
		status               int
		want                 string // of the body, "" for a problem
	}{
		{"GET", "/plain", "", 204, ""},
		{"GET", "/plain?x=1", "", 422, ""},
		{"GET", "/plain?x=%zz", "", 400, ""},
		{"POST", "/read", `{"name":"A"}`, 200, "A"},
		{"POST", "/read?x=1", `{"name":"A"}`, 422, ""},
		{"POST", "/read?x=1", `{`, 422, ""},
		{"POST", "/read", `{`, 400, ""},
		{"GET", "/one/" + anID, "", 200, anID},
		{"GET", "/one/" + anID + "?x=1", "", 422, ""},
		{"GET", "/one/x", "", 404, ""},
		{"GET", "/one/x?x=1", "", 422, ""},
		{"GET", "/two/" + anID + "/" + other, "", 200, anID + " " + other},
		{"GET", "/two/x/" + other, "", 404, ""},
		{"GET", "/two/" + anID + "/x", "", 404, ""},
		{"GET", "/two/" + anID + "/" + other + "?x=1", "", 422, ""},
	} {
		t.Run(tc.method+" "+tc.target, func(t *testing.T) {
			res := e.do(tc.method, tc.target, tc.body, "Content-Type", "application/json")
			if res.Code != tc.status || res.Code == http.StatusOK && res.Body.String() != tc.want {
				t.Errorf("got %d: %s; want %d: %s", res.Code, res.Body, tc.status, tc.want)
			}
		})
	}
}

func TestWriteResource(t *testing.T) {
	e := newEdge(t, nil, nil)
	write := func(c *gin.Context) { httpx.WriteResource(c, http.StatusAccepted, 3, map[string]int{"x": 1}) }
	e.GET("/thing", write)
	e.PATCH("/thing", write)
	for _, tc := range []struct {
		name, method, has string
		status            int
	}{
		{"read", "GET", `"2"`, 202}, {"read what the caller has", "GET", `W/"3"`, 304}, {"changed", "PATCH", `"3"`, 202},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := e.do(tc.method, "/thing", "", "If-None-Match", tc.has)
			body := `{"x":1}`
			if tc.status == http.StatusNotModified {
				body = ""
			}
			if res.Code != tc.status || res.Body.String() != body || res.Header().Get("ETag") != `"3"` || res.Header().Get("Cache-Control") != "private, no-cache" {
				t.Errorf("got %d: %s, %v", res.Code, res.Body, res.Header())
			}
		})
	}
}
