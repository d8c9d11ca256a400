package checkout

import "strings"

// A Service is one of the suite's services, as far as running it on this machine needs to know: it has an address, a
// secret for its account on each server, and a route at the gateway. What else there is to say is in configs/pgo.yaml
// and deploy/nginx.
type Service struct {
	Name string
	Port int // of its API; by default in native mode, always in the runtime container
}

// Services are the suite's services in the order in which they are shown.
func Services() []Service {
	return []Service{{"user", 8081}, {"school", 8082}, {"task", 8083}}
}

// AddressKey is the env file's key of the address of its API.
func (s Service) AddressKey() string { return strings.ToUpper(s.Name) + "_HTTP" }

// passwordNames are the names of the secrets for its accounts.
func (s Service) passwordNames() []string {
	return []string{s.Name + "_mysql_password", s.Name + "_redis_password", s.Name + "_rabbitmq_password"}
}
