package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	maxScanners = 200
	lastPort    = 65535
	portTimeout = time.Second // an answer takes microseconds on a container network; a dropped packet gets none
)

// printOpenPorts prints the ports of host that accept a connection, in ascending order, one per line.
func printOpenPorts(ctx context.Context, host string, stdout io.Writer) error {
	addrs, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return trimError(err)
	}
	ports := make(chan int)
	var (
		workers sync.WaitGroup
		mu      sync.Mutex
		open    []int
	)
	for range maxScanners {
		workers.Go(func() {
			for port := range ports {
				one, cancel := context.WithTimeout(ctx, portTimeout)
				err := checkTCP(one, net.JoinHostPort(addrs[0], strconv.Itoa(port)))
				cancel()
				if err == nil {
					mu.Lock()
					open = append(open, port)
					mu.Unlock()
				}
			}
		})
	}
	for port := 1; port <= lastPort && ctx.Err() == nil; port++ {
		ports <- port
	}
	close(ports)
	workers.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("scan the ports of %s: %w", host, ctx.Err())
	}
	slices.Sort(open)
	for _, port := range open {
		if _, err := fmt.Fprintln(stdout, port); err != nil {
			return err
		}
	}
	return nil
}
