// Package templates holds the files that `slipway init` fills in: in project
// the code and settings of a first project, and beside it a folder for each
// template with its rows and with what is known of them. data.py made the rows.
package templates

import "embed"

// Files are all of them. A name that ends in .tmpl is a text/template.
//
//go:embed project tabular-classification regression batch-scoring
var Files embed.FS
