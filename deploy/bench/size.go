package main

import "context"

const size = "size of what is installed (PM2: with Node's program)"

func (b *bench) sizeRows() []*row {
	return []*row{{what: size, unit: "MB", target: atMost(15)}}
}

func measureSize(_ context.Context, _ *bench, m manager) (map[string]cell, error) {
	var paths []string
	switch m := m.(type) {
	case *pgo:
		paths = []string{m.program}
	case *pm2:
		paths = []string{m.modules, m.node}
	}
	mb, err := measureSizes(paths...)
	return map[string]cell{size: {samples: []float64{mb}}}, err
}
