package localserver

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// Below the kernel's range for outgoing connections, so that none of those takes a port between the choice and
// the server's start.
const (
	firstScratchPort = 20000
	lastScratchPort  = 32000
)

// FindFreePorts returns n different ports that nothing listens on at 127.0.0.1. They are not reserved: a server that
// finds its port taken must be started again with others.
func FindFreePorts(n int) ([]int, error) {
	var ports []int
	for range 1000 {
		if len(ports) == n {
			return ports, nil
		}
		port := firstScratchPort + rand.IntN(lastScratchPort-firstScratchPort)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		// Kept open until all are found, so that none is chosen twice.
		defer l.Close()
		ports = append(ports, port)
	}
	return nil, fmt.Errorf("no %d free ports from %d to %d", n, firstScratchPort, lastScratchPort)
}
