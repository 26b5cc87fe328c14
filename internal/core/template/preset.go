package template

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/templates"
)

// Preset is the plan of a template with its data files. It fails with Invalid
// for a name that no template has.
func Preset(name string) (*Plan, []File, error) {
	if !slices.Contains(Names, name) {
		return nil, nil, slipway.Errorf(slipway.Invalid, "there is no template %q", name).WithHint("the templates are %s", strings.Join(Names, ", "))
	}
	entries, err := fs.ReadDir(templates.Files, name)
	if err != nil {
		return nil, nil, err
	}
	var p *Plan
	var data []File
	for _, e := range entries {
		b, err := templates.Files.ReadFile(name + "/" + e.Name())
		if err != nil {
			return nil, nil, err
		}
		if e.Name() != "plan.json" {
			data = append(data, File{"data/" + e.Name(), b})
			continue
		}
		if err := json.Unmarshal(b, &p); err != nil {
			return nil, nil, fmt.Errorf("read the template %s: %w", name, err)
		}
	}
	return p, data, nil
}
