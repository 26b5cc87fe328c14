package pipeline

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/project"
)

// closure finds the files of the snapshot that a command reaches. It errs on
// the side of too many: a file that is missed would let a stale result stand.
//
//   - Files that the command names are reached; so is the module of python -m.
//   - A reached Python file reaches the modules of the snapshot that it imports
//     (import, from, importlib.import_module of a literal) with the __init__.py
//     of their packages.
//   - Any reached text file reaches the files and folders of the snapshot that
//     a quoted text in it names (open("config.json")); in files that are not
//     Python, any word.
//   - A command that reaches nothing (make, a program of the system) depends on
//     the whole snapshot.
//
// slipway.yaml counts only when it is named: what it says about the step is
// compared by itself. A file whose name is put together while the program runs
// is not found; naming it anywhere in the code or in the command suffices.
type closure struct {
	tree  content.Tree
	read  func(content.Entry) []byte // the text of a file, nil when it is none
	base  map[string][]string        // paths by their last element
	found map[string]bool
	queue []string
}

// snapshotIndex is made once for a tree and serves every step.
type snapshotIndex struct {
	tree content.Tree
	base map[string][]string
	read func(content.Entry) []byte
}

func newSnapshotIndex(tree content.Tree, read func(content.Entry) []byte) *snapshotIndex {
	x := &snapshotIndex{tree: tree, base: map[string][]string{}, read: read}
	for _, e := range tree {
		x.base[path.Base(e.Path)] = append(x.base[path.Base(e.Path)], e.Path)
	}
	return x
}

// Reached lists the entries that a command reaches; all is true when it names
// none and so depends on everything.
func (x *snapshotIndex) Reached(cmd project.Command) (reached []content.Entry, all bool) {
	c := &closure{tree: x.tree, read: x.read, base: x.base, found: map[string]bool{}}
	c.command(words(cmd))
	for len(c.queue) > 0 {
		at := c.queue[0]
		c.queue = c.queue[1:]
		e, _ := c.tree.Find(at)
		text := c.read(e)
		if text == nil {
			continue
		}
		if strings.HasSuffix(at, ".py") {
			c.python(path.Dir(at), string(text))
		} else {
			c.mentions(path.Dir(at), strings.FieldsFunc(string(text), notWord))
		}
	}
	if len(c.found) == 0 {
		return nil, true
	}
	for _, e := range x.tree {
		if c.found[e.Path] {
			reached = append(reached, e)
		}
	}
	return reached, false
}

// words splits a command. A shell line is cut at blanks, quotes and operators,
// which is enough to find names of files.
func words(cmd project.Command) []string {
	if cmd.Shell != "" {
		return strings.FieldsFunc(cmd.Shell, func(r rune) bool { return strings.ContainsRune(" \t\n'\"`;|&()<>{}$=", r) })
	}
	return cmd.Args
}

func notWord(r rune) bool { return strings.ContainsRune(" \t\r\n'\"`;|&()<>{}$=,:[]", r) }

func (c *closure) add(at string) bool {
	if _, ok := c.tree.Find(at); !ok {
		return false
	}
	if !c.found[at] {
		c.found[at] = true
		c.queue = append(c.queue, at)
	}
	return true
}

// command adds the files that the words of a command name.
func (c *closure) command(words []string) {
	c.mentions(".", words)
	for i, w := range words {
		if w == "-m" && i+1 < len(words) && i > 0 && strings.HasPrefix(path.Base(words[i-1]), "python") {
			c.module(".", words[i+1])
			c.module(".", words[i+1]+".__main__")
		}
		// After a cd the name is relative to a folder that only the shell knows.
		if strings.Contains(w, ".") && !c.found[path.Clean(w)] {
			for _, p := range c.base[path.Base(w)] {
				if strings.HasSuffix("/"+p, "/"+strings.TrimPrefix(path.Clean(w), "../")) {
					c.add(p)
				}
			}
		}
	}
}

// mentions adds the files and folders that texts name, seen from the project or
// from the folder of the file that holds them.
func (c *closure) mentions(dir string, texts []string) {
	for _, t := range texts {
		if t == "" || len(t) > 400 || t == "." || t == ".." || strings.HasPrefix(t, "/") {
			continue
		}
		for _, at := range []string{path.Clean(t), path.Join(dir, t)} {
			if at == "." || strings.HasPrefix(at, "../") || c.add(at) {
				continue
			}
			if strings.HasSuffix(at, "*") {
				at = path.Dir(at)
			}
			if at != "." {
				c.folder(at)
			}
		}
	}
}

// folder adds everything below a folder. The tree is sorted, so that a search
// finds its first file.
func (c *closure) folder(dir string) {
	i, _ := slices.BinarySearchFunc(c.tree, dir+"/", func(e content.Entry, p string) int { return strings.Compare(e.Path, p) })
	for ; i < len(c.tree) && strings.HasPrefix(c.tree[i].Path, dir+"/"); i++ {
		c.add(c.tree[i].Path)
	}
}

var (
	importLine = lazily(`(?m)^[ \t]*(?:[^#'"\n]*;[ \t]*)?import[ \t]+([^#;\n]+)`)
	fromLine   = lazily(`(?m)^[ \t]*(?:[^#'"\n]*;[ \t]*)?from[ \t]+(\.*[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^#;\n]+)`)
	dynamic    = lazily(`(?:import_module|__import__)\(\s*['"]([\w.]+)['"]`)
	quoted     = lazily(`'([^'\n]{1,400})'|"([^"\n]{1,400})"`)
	name       = lazily(`[\w.]+`)
)

// lazily compiles an expression when it is first used: every step's process
// starts with this package, and most never look at code.
func lazily(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}

// python adds what a Python file in dir imports and mentions.
func (c *closure) python(dir, text string) {
	text = strings.ReplaceAll(text, "\\\n", " ")
	for _, m := range importLine().FindAllStringSubmatch(text, -1) {
		for part := range strings.SplitSeq(m[1], ",") {
			c.module(dir, name().FindString(part))
		}
	}
	for _, m := range fromLine().FindAllStringSubmatch(text, -1) {
		c.module(dir, m[1])
		for part := range strings.SplitSeq(strings.Trim(m[2], "()"), ",") {
			if n := name().FindString(part); n != "" { // it may be a module of the package
				c.module(dir, strings.TrimRight(m[1], ".")+dots(m[1])+n)
			}
		}
	}
	for _, m := range dynamic().FindAllStringSubmatch(text, -1) {
		c.module(dir, m[1])
	}
	var texts []string
	for _, m := range quoted().FindAllStringSubmatch(text, -1) {
		texts = append(texts, m[1]+m[2])
	}
	c.mentions(dir, texts)
}

// dots is what stands between a module and a name that is imported from it: one
// dot, or all of them when the module is nothing but dots.
func dots(module string) string {
	if rest := strings.TrimLeft(module, "."); rest != "" {
		return "."
	}
	return module
}

// module adds a module, looked for beside the importing file, in the project's
// folder and in its src folder. Leading dots are relative to the package.
func (c *closure) module(dir, module string) {
	rest := strings.TrimLeft(module, ".")
	roots := []string{dir, ".", "src"}
	if up := len(module) - len(rest); up > 0 {
		at := dir
		for range up - 1 {
			at = path.Dir(at)
		}
		roots = []string{at}
	}
	for _, root := range roots {
		at := root
		c.add(path.Join(at, "__init__.py"))
		for part := range strings.SplitSeq(rest, ".") {
			if part == "" {
				continue
			}
			at = path.Join(at, part)
			c.add(at + ".py")
			c.add(path.Join(at, "__init__.py"))
		}
	}
}
