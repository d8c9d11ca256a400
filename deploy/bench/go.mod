module pgo/deploy/bench

go 1.26.0
