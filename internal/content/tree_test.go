package content

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/slipway-ml/slipway"
	"pgregory.net/rapid"
)

func file(path, text string) Entry {
	return Entry{Path: path, Digest: slipway.DigestOf([]byte(text)), Size: int64(len(text))}
}

func tree(t testing.TB, entries ...Entry) Tree {
	t.Helper()
	tr, err := NewTree(entries)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestTreeIsContent(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{})
	script := file("bin/run.sh", "#!/bin/sh")
	script.Exec = true
	want := tree(t, script, file("a/b", "1"), file("a.b", "2"), file("späße\n日本", "3"), file("with space", ""))
	d, err := s.PutTree(t.Context(), want)
	if err != nil || d != want.Digest() {
		t.Fatalf("PutTree: %s, %v", d, err)
	}
	got, err := s.GetTree(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	shuffled := tree(t, want[3], want[1], want[4], want[0], want[2])
	if shuffled.Digest() != d {
		t.Error("the order of the entries changes the digest")
	}
	if _, err := s.GetTree(t.Context(), put(t, s, []byte("no tree"))); !slipway.IsCode(err, slipway.Invalid) {
		t.Errorf("no tree: %v", err)
	}
	empty, err := s.PutTree(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.GetTree(t.Context(), empty); err != nil || len(got) != 0 {
		t.Errorf("the empty tree: %v, %v", got, err)
	}
}

func TestTreeEncoding(t *testing.T) {
	tr := tree(t, file("b", "x"), file("a", "y"))
	want := "slipway-tree 1\n" +
		"a1fce4363854ff888cff4b8e7875d600c2682390412a8cf79b37d0b11148b0fa 1 - a\n" +
		"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881 1 - b\n"
	if got := string(tr.Encode()); got != want {
		t.Errorf("the format is\n%s, was\n%s", got, want)
	}
}

func TestTreeRefuses(t *testing.T) {
	for _, path := range []string{"", "/etc/passwd", "../x", "a/../b", "a/..", ".", "./a", "a//b", "a/", "a\x00b", "a\\b", "\xff",
		strings.Repeat("x", 256), strings.Repeat("x/", 2100) + "x"} {
		if _, err := NewTree([]Entry{file(path, "")}); !slipway.IsCode(err, slipway.Invalid) {
			t.Errorf("the path %q: %v", path, err)
		}
	}
	negative := file("a", "x")
	negative.Size = -1
	for name, entries := range map[string][]Entry{
		"twice":              {file("a", "1"), file("a", "2")},
		"file and folder":    {file("a", "1"), file("a/b", "2")},
		"deeper":             {file("a/b", "1"), file("a/b.c", "1"), file("a/b/c/d", "2")},
		"no digest":          {{Path: "a"}},
		"a negative size":    {negative},
		"a malformed digest": {{Path: "a", Digest: "../../x"}},
	} {
		if _, err := NewTree(entries); !slipway.IsCode(err, slipway.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	good := string(tree(t, file("a", "x"), file("b", "y")).Encode())
	for name, text := range map[string]string{
		"no header": strings.TrimPrefix(good, treeHeader), "no last line feed": strings.TrimSuffix(good, "\n"),
		"an empty line": good + "\n", "plus sign": strings.Replace(good, " 1 ", " +1 ", 1), "leading zero": strings.Replace(good, " 1 ", " 01 ", 1),
		"two spaces": strings.Replace(good, " - ", "  - ", 1), "another mode": strings.Replace(good, " - ", " w ", 1),
		"out of order": strings.NewReplacer(" a\n", " b\n", " b\n", " a\n").Replace(good),
	} {
		if _, err := ParseTree([]byte(text)); !slipway.IsCode(err, slipway.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseTree(f *testing.F) {
	f.Add(tree(f, file("a", "x"), file("b/c\nd", "y")).Encode())
	f.Add([]byte(treeHeader))
	f.Fuzz(func(t *testing.T, b []byte) {
		if tr, err := ParseTree(b); err == nil && !bytes.Equal(tr.Encode(), b) {
			t.Fatalf("%q is a second spelling of a tree", b)
		}
	})
}

func TestTreeParts(t *testing.T) {
	tr := tree(t, file("a/b", "1"), file("a/c/d", "22"), file("ab", "333"))
	if e, ok := tr.Find("a/c/d"); !ok || e.Size != 2 {
		t.Errorf("Find: %+v, %v", e, ok)
	}
	if _, ok := tr.Find("a/c"); ok {
		t.Error("a folder was found as a file")
	}
	if diff := cmp.Diff(Tree{file("b", "1"), file("c/d", "22")}, tr.Sub("a")); diff != "" {
		t.Error(diff)
	}
	if tr.Size() != 6 || len(tr.Digests()) != 3 {
		t.Errorf("Size %d, %d digests", tr.Size(), len(tr.Digests()))
	}
}

func TestDiff(t *testing.T) {
	exec := file("same", "s")
	exec.Exec = true
	from := tree(t, file("same", "s"), file("kept", "k"), file("gone", "g"), file("edited", "1"), file("old/name", "moved"), file("none", ""))
	to := tree(t, exec, file("kept", "k"), file("new", "n"), file("edited", "2"), file("newer/name", "moved"), file("other", ""))
	want := Changes{
		Added:   []Entry{file("new", "n"), file("other", "")},
		Removed: []Entry{file("gone", "g"), file("none", "")},
		Changed: []Change{{file("edited", "1"), file("edited", "2")}, {file("same", "s"), exec}},
		Moved:   []Change{{file("old/name", "moved"), file("newer/name", "moved")}},
	}
	to2 := slices.DeleteFunc(slices.Clone(to), func(e Entry) bool { return e.Path == "new" })
	if diff := cmp.Diff(want, Diff(from, to)); diff != "" {
		t.Error(diff)
	}
	if Diff(to2, to2).Empty() != true || Diff(nil, nil).Empty() != true || Diff(nil, to2).Empty() {
		t.Error("Empty is wrong")
	}
}

// What a diff says, done to the first tree, gives the second.
func TestDiffIsComplete(t *testing.T) {
	trees := rapid.Custom(func(t *rapid.T) Tree {
		paths := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-d]{1,2}`), 0, 10, rapid.ID[string]).Draw(t, "paths")
		var entries []Entry
		for _, p := range paths {
			entries = append(entries, file(p, rapid.StringMatching(`[xyz]?`).Draw(t, "text")))
		}
		tr, err := NewTree(entries)
		if err != nil {
			t.Fatal(err)
		}
		return tr
	})
	rapid.Check(t, func(t *rapid.T) {
		from, to := trees.Draw(t, "from"), trees.Draw(t, "to")
		files := map[string]Entry{}
		for _, e := range from {
			files[e.Path] = e
		}
		c := Diff(from, to)
		for _, e := range c.Removed {
			delete(files, e.Path)
		}
		for _, m := range c.Moved {
			if files[m.From.Path] != m.From || m.From.Digest != m.To.Digest {
				t.Fatalf("%+v is no move", m)
			}
			delete(files, m.From.Path)
		}
		for _, e := range c.Added {
			files[e.Path] = e
		}
		for _, m := range append(c.Changed, c.Moved...) {
			files[m.To.Path] = m.To
		}
		var entries []Entry
		for _, e := range files {
			entries = append(entries, e)
		}
		if got, err := NewTree(entries); err != nil || !slices.Equal(got, to) {
			t.Fatalf("%v, %v", got, err)
		}
	})
}
