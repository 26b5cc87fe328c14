module github.com/slipway-ml/slipway

go 1.26.0

ignore ./web/node_modules

require github.com/google/go-cmp v0.7.0 // indirect
