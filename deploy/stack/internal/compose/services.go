// Package compose brings the stack up as containers: it prepares what docker-compose.yml needs in the state folder and
// drives the docker program, as a person would.
package compose

const bootcheckPort = 8090

// The parts of docker-compose.yml that are always there, in the order of the chain.
const (
	runtimePart = "runtime"
	gatewayPart = "gateway"
)

// CertbotProfile gets the gateway's certificate from an authority and renews it.
const CertbotProfile = "certbot"

func infraPartNames() []string { return []string{"mysql", "redis", "rabbitmq"} }

// Ports inside the gateway's container, and those they are published on before PORT_OFFSET.
const (
	gatewayHTTP   = 8080
	gatewayHTTPS  = 8443
	gatewayStatus = 8099 // inside the container alone
)
