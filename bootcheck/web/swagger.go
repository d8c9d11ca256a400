package web

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"pgo/pkg/problem"
)

//go:embed index.html
var indexPage string

//go:embed init.js
var initScript string

type swagger struct {
	gateway *url.URL
	specs   *specs
	names   []string
	assets  gin.HandlerFunc
}

func (s *swagger) serve(c *gin.Context) error {
	file := strings.TrimPrefix(c.Param("file"), "/")
	switch service, isSpec := strings.CutPrefix(file, "specs/"); {
	case file == "" || file == "index.html":
		s.writePage(c, "text/html; charset=utf-8", s.renderPage(c.Request))
	case file == "init.js":
		script, err := s.renderScript()
		if err != nil {
			return err
		}
		s.writePage(c, "text/javascript; charset=utf-8", script)
	case isSpec:
		return s.writeSpec(c, service)
	case slices.Contains(assets, file):
		c.Header("Cache-Control", "public, max-age=3600")
		s.assets(c)
	default:
		return problem.NotFound()
	}
	return nil
}

// writePage writes content with a policy that allows a browser only files of this origin and calls to the gateway.
func (s *swagger) writePage(c *gin.Context, contentType string, text []byte) {
	c.Header("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "+
		"img-src 'self' data:; font-src 'self' data:; connect-src 'self' "+s.gateway.Scheme+"://"+s.gateway.Host+
		"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	c.Header("Referrer-Policy", "no-referrer")
	c.Header("Cache-Control", "no-cache")
	c.Data(http.StatusOK, contentType, text)
}

// renderPage fills the address of the gateway's start page into index.html.
func (s *swagger) renderPage(r *http.Request) []byte {
	start := s.gateway.Scheme + "://" + s.gateway.Host + "/"
	if s.isThroughGateway(r) {
		start = "/"
	}
	return []byte(strings.Replace(indexPage, "<!-- start page -->", html.EscapeString(start), 1))
}

type namedURL struct {
	URL  string `json:"url"`
	Name string `json:"name"`
}

// renderScript fills the list of specifications into init.js. Their addresses are relative to the page.
func (s *swagger) renderScript() ([]byte, error) {
	urls := []namedURL{}
	for _, name := range s.names {
		urls = append(urls, namedURL{URL: "specs/" + name + ".json", Name: name})
	}
	list, err := json.Marshal(urls)
	if err != nil {
		return nil, fmt.Errorf("list the specifications: %w", err)
	}
	return []byte(strings.Replace(initScript, "[/* specifications */]", string(list), 1)), nil
}

func (s *swagger) writeSpec(c *gin.Context, file string) error {
	service, ok := strings.CutSuffix(file, ".json")
	if !ok || !slices.Contains(s.names, service) {
		return problem.NotFound()
	}
	text, err := s.specs.read(c, service)
	if err != nil {
		return problem.New(problem.KindUnavailable, problem.CodeUnavailable, "The service's binary cannot be read now.").WithCause(err)
	}
	text, err = s.pointAtGateway(text, s.isThroughGateway(c.Request))
	if err != nil {
		return err
	}
	c.Data(http.StatusOK, "application/json", text)
	return nil
}

// isThroughGateway reports whether the request came through the gateway, under whatever host name: a proxy adds
// X-Forwarded-For.
func (s *swagger) isThroughGateway(r *http.Request) bool {
	return r.Host == s.gateway.Host || r.Header.Get("X-Forwarded-For") != ""
}

// pointAtGateway rewrites a specification so that calls from the page go to the gateway. It removes the host if the page
// came through the gateway, since calls then go to the page's origin, and else sets the gateway's.
func (s *swagger) pointAtGateway(text []byte, through bool) ([]byte, error) {
	var spec map[string]json.RawMessage
	if err := json.Unmarshal(text, &spec); err != nil {
		return nil, fmt.Errorf("read the specification: %w", err)
	}
	delete(spec, "host")
	delete(spec, "schemes")
	if !through {
		for key, value := range map[string]any{"host": s.gateway.Host, "schemes": []string{s.gateway.Scheme}} {
			raw, err := json.Marshal(value)
			if err != nil {
				return nil, fmt.Errorf("write the specification: %w", err)
			}
			spec[key] = raw
		}
	}
	return json.Marshal(spec)
}
