package checkout

import "strings"

// Service is a service of the suite. It has an address, a secret for its account on each server, and a route at the gateway.
// configs/pgo.yaml and deploy/nginx have its other settings.
type Service struct {
	Name string
	Port int // of its API: the default in native mode, fixed in the runtime container
}

// Services returns the suite's services in the order in which they are shown.
func Services() []Service {
	return []Service{{"user", 8081}, {"school", 8082}, {"task", 8083}}
}

// AddressKey returns the env file's key of the service's address.
func (s Service) AddressKey() string { return strings.ToUpper(s.Name) + "_HTTP" }

// passwordNames returns the names of the secrets for the service's accounts.
func (s Service) passwordNames() []string {
	return []string{s.Name + "_mysql_password", s.Name + "_redis_password", s.Name + "_rabbitmq_password"}
}
