package dataset

import (
	"bytes"
	"html/template"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// pages are whole HTML files that need nothing beside them: no script, no font,
// no address. html/template escapes every value.
var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"join":     func(list []string) string { return strings.Join(list, ", ") },
	"keys":     func(m map[string]int64) []string { return slices.Sorted(maps.Keys(m)) },
	"share":    share,
	"sd":       func(f *float64) string { return strconv.FormatFloat(*f, 'f', 2, 64) + " sd" },
	"percent":  func(f float64) string { return percent(f) },
	"measured": func(f Finding, rows int64) string { return f.measured(rows) },
}).Parse(`{{define "head"}}<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{.}}</title>
<style>body{font:14px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1d2733}table{border-collapse:collapse;margin:.5rem 0 1.5rem}
td,th{border-bottom:1px solid #dde3ea;padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top}.added,.pass{color:#147a3d}.removed,.error{color:#b3261e}.changed,.warning{color:#96600a}
.dim{color:#66737f}del{background:#fbe3e1;text-decoration:none}ins{background:#dff3e6;text-decoration:none}code{font-family:ui-monospace,monospace}</style>{{end}}
{{define "value"}}{{if .}}{{.}}{{else}}<i class="dim">missing</i>{{end}}{{end}}
{{define "diff"}}{{template "head" (print .From " to " .To)}}<h1>{{.From}} → {{.To}}</h1>
<h2>Files</h2><table>{{range .Files.Added}}<tr><td class="added">added<td>{{.Path}}{{end}}{{range .Files.Removed}}<tr><td class="removed">removed<td>{{.Path}}{{end}}{{range .Files.Changed}}<tr><td class="changed">changed<td>{{.To.Path}}{{end}}{{range .Files.Moved}}<tr><td>moved<td>{{.From.Path}} → {{.To.Path}}{{end}}</table>
{{with .Schema}}<h2>Columns</h2><table><tr><th>column<th>was<th>is{{range .}}<tr><td>{{.Column}}<td>{{.From}}<td>{{.To}}{{end}}</table>{{end}}
{{with .ByKey}}<h2>Rows{{with .Key}} by {{join .}}{{else}}, compared whole{{end}}</h2>{{with .Note}}<p class="changed">{{.}}{{end}}
<p><b class="added">{{.Added}} added</b>, <b class="removed">{{.Removed}} removed</b>, <b class="changed">{{.Changed}} changed</b>
{{$columns := .Columns}}{{with keys .Columns}}<table><tr><th>column<th>changed values{{range .}}<tr><td>{{.}}<td>{{index $columns .}}{{end}}</table>{{end}}
{{with .Sample}}<table><tr><th>change<th>key<th>column<th>before<th>after{{range $row := .}}{{range $i, $c := .Cells}}<tr><td class="{{$row.Change}}">{{if not $i}}{{$row.Change}}{{end}}<td>{{if not $i}}{{$row.Key}}{{end}}<td>{{$c.Column}}<td>{{if ne $row.Change "added"}}<del>{{template "value" $c.From}}</del>{{end}}<td>{{if ne $row.Change "removed"}}<ins>{{template "value" $c.To}}</ins>{{end}}{{else}}<tr><td class="{{.Change}}">{{.Change}}<td>{{.Key}}<td><td><td>{{end}}{{end}}</table>{{end}}{{end}}
{{with .Columns}}<h2>Statistics</h2><table><tr><th>column<th>missing<th>mean<th>shift<th>new values<th>gone{{range .}}<tr><td>{{.Column}}<td>{{percent (index .Missing 0)}} → {{percent (index .Missing 1)}}<td>{{with .Mean}}{{printf "%.4g" (index . 0)}} → {{printf "%.4g" (index . 1)}}{{end}}<td>{{with .Shift}}{{sd .}}{{end}}<td>{{join .New}}<td>{{join .Gone}}{{end}}</table>{{end}}
{{end}}
{{define "report"}}{{template "head" (print "Contract of " .Dataset)}}<h1>Contract of {{.Dataset}}: {{.Verdict}}</h1><p>{{.Rows}} rows in {{len .Files}} files, {{len .Checks}} checks
<table><tr><th>check<th>verdict<th>measured<th>failing rows{{$rows := .Rows}}{{range .Checks}}<tr><td>{{.Title}}{{with .Description}}<br><span class="dim">{{.}}</span>{{end}}<td class="{{if .Pass}}pass{{else}}{{.Severity}}{{end}}">{{if .Pass}}pass{{else}}{{.Severity}}{{end}}<td>{{measured . $rows}}<td>{{range .Sample}}<code>{{.}}</code><br>{{end}}{{end}}</table>{{end}}`))

// page writes one of pages.
func page(name string, v any) []byte {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, v); err != nil {
		return nil // a buffer takes everything, and the templates are tested
	}
	return b.Bytes()
}

func (d Diff) page() []byte    { return page("diff", d) }
func (r *Report) page() []byte { return page("report", r) }
