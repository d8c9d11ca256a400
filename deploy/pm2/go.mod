module pgo/deploy/pm2

go 1.26.0
