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
	scanners = 200
	lastPort = 65535
	onePort  = time.Second // on a container network an answer takes microseconds; a dropped packet never comes
)

// scan prints the ports of host that take a connection, in order, one a line.
func scan(ctx context.Context, host string, stdout io.Writer) error {
	addrs, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return reason(err)
	}
	ports := make(chan int)
	var (
		workers sync.WaitGroup
		mu      sync.Mutex
		open    []int
	)
	for range scanners {
		workers.Go(func() {
			for port := range ports {
				one, cancel := context.WithTimeout(ctx, onePort)
				err := dial(one, net.JoinHostPort(addrs[0], strconv.Itoa(port)))
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
		return fmt.Errorf("not every port was looked at: %w", ctx.Err())
	}
	slices.Sort(open)
	for _, port := range open {
		if _, err := fmt.Fprintln(stdout, port); err != nil {
			return err
		}
	}
	return nil
}
