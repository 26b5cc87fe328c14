package registry_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/registry"
)

// arrive registers a version as a client does.
func (w *world) arrive(name string, d slipway.Digest, tags ...registry.Tag) registry.Entry {
	w.t.Helper()
	e, err := w.Arrive(w.ctx(slipway.Writer), registry.Arrival{Project: "p", Name: name, Content: d, Origin: "models:/m-1", Run: "r", Tag: tags})
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

func (w *world) create(name string, tags ...registry.Tag) {
	w.t.Helper()
	if _, err := w.CreateModel(w.ctx(slipway.Writer), "p", name, "about "+name, tags); err != nil {
		w.t.Fatal(err)
	}
}

// verbs are the events of the log.
func (w *world) verbs() (out []string) {
	w.t.Helper()
	events, err := w.db.Events(w.t.Context(), 0, 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range events {
		out = append(out, e.Verb)
	}
	return out
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestACatalogueIsKept is the life of a model that a client registers.
func TestACatalogueIsKept(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := w.ctx(slipway.Writer)
		files := w.tree("MLmodel", "flavors: {}")
		if _, err := w.Arrive(ctx, registry.Arrival{Project: "p", Name: "late", Content: files}); !slipway.IsCode(err, slipway.NotFound) {
			t.Fatalf("a version of no model: %v", err)
		}
		w.create("late", registry.Tag{Key: "team", Value: "ops"})
		if _, err := w.CreateModel(ctx, "p", "late", "", nil); !slipway.IsCode(err, slipway.Conflict) {
			t.Fatalf("made twice: %v", err)
		}
		w.arrive("late", files, registry.Tag{Key: "a", Value: "1"})
		if e := w.arrive("late", files); e.Version != 2 || e.Content != files || e.Stage != registry.StageNone {
			t.Fatalf("the same files again: %+v", e)
		}
		w.must(w.PointAlias(ctx, "p", "late", "best", 1))
		w.must(w.SetTag(ctx, "p", "late", 2, registry.Tag{Key: "b", Value: ""}))
		_, err := w.Transition(ctx, "p", "late", 2, registry.StageProduction, false)
		w.must(err)
		_, err = w.DescribeVersion(ctx, "p", "late", 1, "the first")
		w.must(err)

		c, err := w.Rename(ctx, "p", "late", "later flights")
		w.must(err)
		if c.Description != "about late" || len(c.Tag) != 1 || len(c.Alias) != 1 || len(c.Latest) != 2 {
			t.Errorf("renamed: %+v", c)
		}
		if v, err := w.Find(ctx, "p", "later flights@best"); err != nil || v.Version != 1 || v.Description != "the first" {
			t.Errorf("by its alias: %+v, %v", v, err)
		}
		if _, err := w.Card(ctx, "p", "late"); !slipway.IsCode(err, slipway.NotFound) {
			t.Errorf("the old name: %v", err)
		}
		w.must(w.DeleteVersion(ctx, "p", "later flights", 1))
		if n, err := w.Aliased(ctx, "p", "later flights", "best"); err != nil || n != 0 {
			t.Errorf("an alias of a deleted version: %d, %v", n, err)
		}
		w.must(w.DeleteModel(ctx, "p", "later flights"))
		if list, err := w.List(ctx, "p"); err != nil || len(list) != 0 {
			t.Errorf("after its deletion: %+v, %v", list, err)
		}
		w.create("later flights")
		if e := w.arrive("later flights", files); e.Version != 3 {
			t.Errorf("version %d: a number that had a certificate must not mean other files", e.Version)
		}
		want := []string{"model.created", "model.registered", "model.registered", "model.aliased", "model.tagged", "model.staged", "model.described",
			"model.renamed", "model.aliased", "model.deleted", "model.staged", "model.deleted", "model.removed", "model.created", "model.registered"}
		if diff := cmp.Diff(want, w.verbs()); diff != "" {
			t.Errorf("the log: %s", diff)
		}
	})
}

// TestWhatARegistryRefuses tries names, aliases and tags that are none, and to
// move what a release needs.
func TestWhatARegistryRefuses(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := w.ctx(slipway.Writer)
		for _, name := range []string{"", " ", "a/b", "a:b", "a@b", "..", ".", "a\x00", "../a", string(make([]byte, 300))} {
			if _, err := w.CreateModel(ctx, "p", name, "", nil); !slipway.IsCode(err, slipway.Invalid) {
				t.Errorf("the name %.20q: %v", name, err)
			}
		}
		w.create("m")
		w.arrive("m", w.tree("a", "a"))
		for _, alias := range []string{"", "latest", "Latest", "v1", "V20", "a b", "a/b"} {
			if err := w.PointAlias(ctx, "p", "m", alias, 1); !slipway.IsCode(err, slipway.Invalid) {
				t.Errorf("the alias %q: %v", alias, err)
			}
		}
		for _, tag := range []registry.Tag{{Key: ""}, {Key: "../a"}, {Key: "/a"}, {Key: "a", Value: "\x00"}} {
			if err := w.SetTag(ctx, "p", "m", 0, tag); !slipway.IsCode(err, slipway.Invalid) {
				t.Errorf("the tag %q: %v", tag, err)
			}
		}
		w.needed = "production answers with it"
		if _, err := w.Rename(ctx, "p", "m", "n"); !slipway.IsCode(err, slipway.Conflict) {
			t.Errorf("renaming what is released: %v", err)
		}
		if err := w.DeleteModel(ctx, "p", "m"); !slipway.IsCode(err, slipway.Conflict) {
			t.Errorf("deleting what is released: %v", err)
		}
		w.needed = ""
		w.create("n")
		if _, err := w.Rename(ctx, "p", "m", "n"); !slipway.IsCode(err, slipway.Conflict) {
			t.Errorf("a taken name: %v", err)
		}
	})
}

// TestSearchesPage walks through pages of every size, and what a filter finds.
func TestSearchesPage(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var want []string
		files := w.tree("a", "a")
		for i := range 23 {
			name := fmt.Sprintf("Model%02d", i)
			w.create(name, registry.Tag{Key: "odd", Value: fmt.Sprint(i % 2)})
			w.arrive(name, files, registry.Tag{Key: "n", Value: fmt.Sprint(i)})
			want = append(want, name)
		}
		w.create("a prompt", registry.Tag{Key: "mlflow.prompt.is_prompt", Value: "true"})
		for _, size := range []int{1, 7, 23, 24} {
			var got []string
			for q := (registry.Search{Limit: size}); ; {
				found, next, err := w.SearchModels(t.Context(), q)
				w.must(err)
				for _, c := range found {
					got = append(got, c.Name)
				}
				if q.Page = next; next == "" {
					break
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("pages of %d: %s", size, diff)
			}
		}
		for text, n := range map[string]int{
			"name LIKE 'model%'": 0, "name ILIKE 'model%'": 23, "tags.odd = '1'": 11, "tags.odd != '1' AND name != 'Model00'": 11, "tags.none != 'x'": 0,
			"name IN ('Model01', 'x')": 1, "tags.`mlflow.prompt.is_prompt` = 'true'": 1, "tags.`mlflow.prompt.is_prompt` = 'false'": 23,
		} {
			found, _, err := w.SearchModels(t.Context(), registry.Search{Filter: text})
			if err != nil || len(found) != n {
				t.Errorf("%s: %d models, %v; want %d", text, len(found), err, n)
			}
		}
		for text, n := range map[string]int{"": 23, "run_id = 'r'": 23, "run_id IN ('x')": 0, "version_number < 2 AND tags.n = '7'": 1, "source_path = 'models:/m-1'": 23} {
			found, _, err := w.SearchVersions(t.Context(), registry.Search{Filter: text, Order: []string{"name"}})
			if err != nil || len(found) != n || n == 23 && found[22].Name != "Model22" {
				t.Errorf("%s: %d versions, %v; want %d", text, len(found), err, n)
			}
		}
		for _, q := range []registry.Search{{Filter: "x = 'y'"}, {Filter: "last_updated_timestamp > 4"}, {Order: []string{"tags.odd"}}, {Order: []string{"name", "name"}},
			{Limit: -1}, {Limit: 1001}, {Page: "!!"}, {Page: "e30"}} {
			if _, _, err := w.SearchModels(t.Context(), q); !slipway.IsCode(err, slipway.Invalid) {
				t.Errorf("%+v: %v", q, err)
			}
		}
	})
}

// TestWhatWasInProductionThen follows releases, and asks for a time in between.
func TestWhatWasInProductionThen(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.create("late")
		w.arrive("late", w.tree("a", "1"))
		w.arrive("late", w.tree("a", "2"))
		release := func(verb, model, environment string) {
			data, _ := json.Marshal(map[string]string{"model": model, "environment": environment})
			e := slipway.Event{ID: verb + model, Project: "p", Actor: "ana", Verb: verb, Subject: slipway.NewRef(slipway.KindRelease, "1"), Data: data}
			for range 2 { // events may come twice
				w.must(w.Handle(t.Context(), e))
			}
		}
		at := func(c registry.Held) string { return fmt.Sprintf("%s %s v%d", c.Kind, c.Name, c.Version) }
		release("release.activated", "late@v1", "staging")
		release("release.activated", "late@v1", "production")
		release("release.retired", "late@v1", "staging") // it is in production by now
		w.must(w.PointAlias(w.ctx(slipway.Writer), "p", "late", "best", 1))
		c, err := w.Model(t.Context(), "p", "late")
		w.must(err)
		then := c.History[0].At
		release("release.retired", "late@v1", "production")
		release("release.activated", "late@v2", "production")
		release("release.activated", "none@v2", "production")
		w.must(w.PointAlias(w.ctx(slipway.Writer), "p", "late", "best", 0))
		for _, want := range []struct {
			late bool
			held []string
		}{{false, []string{"alias best v1", "stage Production v1"}}, {true, []string{"stage Archived v1", "stage Production v2"}}} {
			when := then
			if want.late {
				when = then.AddDate(1, 0, 0)
			}
			found, err := w.History(t.Context(), "p", "late", when)
			w.must(err)
			var got []string
			for _, h := range found {
				got = append(got, at(h))
			}
			slices.Sort(got)
			if diff := cmp.Diff(want.held, got); diff != "" {
				t.Errorf("at %s: %s", when, diff)
			}
		}
	})
}

// The catalogue of one model has its versions, newest first, and every move
// between stages.
func TestTheCatalogueOfAModel(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := w.ctx(slipway.Operator)
		w.create("late", registry.Tag{Key: "team", Value: "ops"})
		w.arrive("late", w.tree("a.txt", "a"))
		w.arrive("late", w.tree("a.txt", "b"), registry.Tag{Key: "reviewed", Value: "yes"})
		for _, stage := range []string{registry.StageStaging, registry.StageProduction} {
			_, err := w.Transition(ctx, "p", "late", 1, stage, false)
			w.must(err)
		}
		c, err := w.Catalog(ctx, "p", "late")
		w.must(err)
		if len(c.Version) != 2 || c.Version[0].Version != 2 || c.Version[1].Stage != registry.StageProduction || len(c.Version[0].Tag) != 1 || c.Tag[0].Value != "ops" {
			t.Errorf("%+v", c)
		}
		if len(c.Change) != 2 || c.Change[0].Stage != registry.StageProduction || c.Change[0].Before != registry.StageStaging {
			t.Errorf("%+v", c.Change)
		}
		if _, err := w.Catalog(ctx, "p", "none"); !slipway.IsCode(err, slipway.NotFound) {
			t.Errorf("%v", err)
		}
	})
}
