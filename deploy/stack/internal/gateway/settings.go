package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"pgo/deploy/stack/internal/checkout"
)

// Settings holds an operator's settings for the gateway, for every mode.
type Settings struct {
	Limits        Limits              `yaml:"limits"`
	HTTPS         string              `yaml:"https"` // OptionalHTTPS or RedirectToHTTPS
	CORS          CORS                `yaml:"cors"`
	LoadBalancers []string            `yaml:"load_balancers"` // networks in front, whose X-Forwarded-For is trusted
	Upstreams     map[string]Upstream `yaml:"upstreams"`      // by service, for services that run on other machines
}

// DefaultSettings returns the settings without a file.
func DefaultSettings() Settings {
	return Settings{Limits: DefaultLimits(), HTTPS: OptionalHTTPS, CORS: CORS{MaxAge: 10 * time.Minute}}
}

// LoadSettings reads configs/gateway.yaml and, over it, gateway.yaml in the home. It returns an error that names the file and
// the key for an unknown key and for a value that nginx would reject.
func LoadSettings(co checkout.Checkout) (Settings, error) {
	s := DefaultSettings()
	for _, path := range []string{filepath.Join(co.Root, "configs", "gateway.yaml"), co.Path("gateway.yaml")} {
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return s, fmt.Errorf("read the gateway's settings: %w", err)
		}
		decoder := yaml.NewDecoder(bytes.NewReader(text))
		decoder.KnownFields(true)
		if err := decoder.Decode(&s); err != nil && !errors.Is(err, io.EOF) {
			return s, fmt.Errorf("%s: %w", path, err)
		}
		if err := s.validate(); err != nil {
			return s, fmt.Errorf("%s: %w", path, err)
		}
	}
	return s, nil
}

var (
	ratePattern = regexp.MustCompile(`^[1-9][0-9]{0,6}r/[sm]$`)
	sizePattern = regexp.MustCompile(`^[1-9][0-9]{0,8}[kKmM]?$`)
)

func (s Settings) validate() error {
	l := s.Limits
	switch {
	case !ratePattern.MatchString(l.Rate):
		return fmt.Errorf("limits.rate: %q: expected requests a second or a minute, such as 1000r/s or 30r/m", l.Rate)
	case l.Burst < 1:
		return fmt.Errorf("limits.burst: %d: expected 1 or more", l.Burst)
	case l.Connections < 1:
		return fmt.Errorf("limits.connections: %d: expected 1 or more", l.Connections)
	case !sizePattern.MatchString(l.Body):
		return fmt.Errorf("limits.body: %q: expected a size such as 2m or 512k", l.Body)
	}
	if s.HTTPS != OptionalHTTPS && s.HTTPS != RedirectToHTTPS {
		return fmt.Errorf("https: %q: expected %s or %s", s.HTTPS, OptionalHTTPS, RedirectToHTTPS)
	}
	if err := s.CORS.validate(); err != nil {
		return err
	}
	for _, network := range s.LoadBalancers {
		_, err := netip.ParsePrefix(network)
		if _, notOne := netip.ParseAddr(network); err != nil && notOne != nil {
			return fmt.Errorf("load_balancers: %q: expected an address or a network such as 10.0.0.0/8", network)
		}
	}
	for name, u := range s.Upstreams {
		if !slices.ContainsFunc(checkout.Services(), func(sv checkout.Service) bool { return sv.Name == name }) {
			return fmt.Errorf("upstreams.%s: there is no such service", name)
		}
		if len(u.Servers) == 0 {
			u.Servers = []string{"here"} // the default of this machine
		}
		if _, err := u.serverLines(); err != nil {
			return fmt.Errorf("upstreams.%s: %w", name, err)
		}
	}
	return nil
}

// applyTo sets the settings in o, whose upstreams are this machine's.
func (s Settings) applyTo(o *Options) {
	o.Limits, o.RealIP, o.HTTPS, o.CORS = s.Limits, s.LoadBalancers, s.HTTPS, s.CORS
	for name, u := range s.Upstreams {
		upstream := o.Upstreams[name]
		if upstream.Balance = u.Balance; len(u.Servers) > 0 {
			upstream.Servers = u.Servers
		}
		o.Upstreams[name] = upstream
	}
}

// ApplySettings loads the settings and sets them in o, whose upstreams are this machine's.
func ApplySettings(co checkout.Checkout, o *Options) error {
	s, err := LoadSettings(co)
	if err != nil {
		return err
	}
	s.applyTo(o)
	return nil
}
