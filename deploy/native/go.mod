module pgo/deploy/native

go 1.26.0

require (
	github.com/google/renameio/v2 v2.0.2
	go.yaml.in/yaml/v3 v3.0.6
	pgo/pkg v0.0.0
)

require (
	github.com/coreos/go-systemd/v22 v22.7.0
	golang.org/x/sys v0.49.0 // indirect
)

replace pgo/pkg => ../../pkg
