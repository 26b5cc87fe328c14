module github.com/slipway-ml/slipway

go 1.26.0

ignore ./web/node_modules

require (
	github.com/goccy/go-yaml v1.19.2
	github.com/robfig/cron/v3 v3.0.1
)
