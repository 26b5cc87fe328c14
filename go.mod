module github.com/slipway-ml/slipway

go 1.26.0

ignore ./web/node_modules

require github.com/danielgtaylor/huma/v2 v2.37.2
