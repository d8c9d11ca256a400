// Package compose runs the stack as containers. It writes the files that docker-compose.yml mounts to the home and runs the
// docker program.
package compose

const bootcheckPort = 8090

// The permanent parts of docker-compose.yml, beside infra.
const (
	runtimePart = "runtime"
	gatewayPart = "gateway"
)

// CertbotProfile is the profile whose container gets and renews the gateway's certificate.
const CertbotProfile = "certbot"

func infraPartNames() []string { return []string{"mysql", "redis", "rabbitmq"} }

// Ports inside the gateway's container. They are published on the same numbers plus PORT_OFFSET.
const (
	gatewayHTTP   = 8080
	gatewayHTTPS  = 8443
	gatewayStatus = 8099 // not published
)
