module github.com/slipway-ml/slipway

go 1.26.0

ignore ./web/node_modules

require golang.org/x/sys v0.49.0 // indirect
