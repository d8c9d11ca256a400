module pgo/deploy/demo

go 1.26.0
