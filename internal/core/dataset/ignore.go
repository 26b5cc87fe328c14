package dataset

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/slipway-ml/slipway"
)

// IgnoreName is the file, in a dataset's own folder, that says which files of
// the folder are no data.
const IgnoreName = ".slipwayignore"

// ignored is the rules of an ignore file: those of .gitignore, of which the
// last one that matches decides. A file that is named on the command line is
// never ignored. (git-scm.com/docs/gitignore, "Pattern format")
type ignored []ignoreRule

type ignoreRule struct {
	segments []string // of the pattern; "**" is any number of folders
	folder   bool     // matches folders only
	keep     bool     // began with "!"
}

// readIgnored reads the ignore file in root; none ignores nothing. It fails with
// Invalid for a pattern that is malformed.
func readIgnored(root string) (ignored, error) {
	raw, err := os.ReadFile(filepath.Join(root, IgnoreName))
	if errors.Is(err, fs.ErrNotExist) || err != nil && isNoFolder(root) {
		return nil, nil
	}
	if err != nil {
		return nil, slipway.Errorf(slipway.Invalid, "%v", err)
	}
	var out ignored
	for i, line := range strings.Split(string(raw), "\n") {
		line = strings.TrimRight(line, " \t\r")
		if line == "" || line[0] == '#' {
			continue
		}
		var r ignoreRule
		line, r.keep = strings.CutPrefix(line, "!")
		line = strings.TrimPrefix(line, `\`)
		line, r.folder = strings.CutSuffix(line, "/")
		anchored := strings.Contains(line, "/")
		r.segments = strings.Split(strings.TrimPrefix(line, "/"), "/")
		if !anchored {
			r.segments = []string{"**", line}
		}
		for _, s := range r.segments {
			if _, err := path.Match(s, ""); err != nil {
				return nil, slipway.Errorf(slipway.Invalid, "%s line %d: %q is no pattern", filepath.Join(root, IgnoreName), i+1, line)
			}
		}
		out = append(out, r)
	}
	return out, nil
}

func isNoFolder(root string) bool {
	info, err := os.Stat(root)
	return err != nil || !info.IsDir()
}

// match reports whether a path relative to the folder of the file is ignored.
// What is in an ignored folder is not asked about.
func (g ignored) match(name string, folder bool) bool {
	yes := false
	segments := strings.Split(name, "/")
	for _, r := range g {
		if (!r.folder || folder) && matchSegments(r.segments, segments) {
			yes = !r.keep
		}
	}
	return yes
}

func matchSegments(pattern, name []string) bool {
	for len(pattern) > 0 && pattern[0] != "**" {
		if len(name) == 0 {
			return false
		}
		if ok, _ := path.Match(pattern[0], name[0]); !ok { // the pattern was checked when it was read
			return false
		}
		pattern, name = pattern[1:], name[1:]
	}
	if len(pattern) == 0 {
		return len(name) == 0
	}
	if len(pattern) == 1 {
		return len(name) > 0
	}
	for i := range name {
		if matchSegments(pattern[1:], name[i:]) {
			return true
		}
	}
	return false
}
