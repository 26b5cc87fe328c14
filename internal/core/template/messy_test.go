package template

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// messy is a file as people export it: semicolons, decimal commas, a header with
// spaces, umlauts, a name twice and one left out, dates in three ways, "k.A."
// among numbers, free text with separators and line ends, and five classes.
func messy(rows int) string {
	r := rand.New(rand.NewPCG(7, 7))
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	months := strings.Fields("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec")
	var b strings.Builder
	b.WriteString(";Ticket No.;Opened On;Größe (cm);Preis €;Kunde;Kunde;Region;Sprache;Gerät;Beschreibung;zuletzt gesehen;Garantie bis;Stufe;Empty;Constant;is vip;e-mail;sex;Kategorie\n")
	for i := range rows {
		day := 1 + i*330/rows
		y, m, d := 2024, 1+day/28, 1+day%28
		opened := fmt.Sprintf("%02d.%02d.%d", d, m, y)
		if i%3 == 1 {
			opened = fmt.Sprintf("%d-%02d-%02d", y, m, d)
		} else if i%7 == 0 {
			opened = fmt.Sprintf("%d %s %d", d, months[m-1], y)
		}
		device, region := pick("Pumpe", "Ventil", "Motor", "Filter"), pick("Nord", "Süd", "Ost", "West", "NA")
		size := 20 + 160*r.Float64()
		class := []string{"A1", "B2", "C3", "D4", "E5"}[min(4, int(size/40)+len(device)%2*r.IntN(2))]
		price := strings.Replace(fmt.Sprintf("%.2f", 5+200*r.Float64()), ".", ",", 1)
		if r.IntN(15) == 0 {
			price = "k.A."
		}
		fmt.Fprintf(&b, "%d;T-%06d;%s;%s;%s;%s;%s;%s;%s;%s;\"%s %d; \"\"%s\"\"\n%s\";%d/%d/2024;%s;%d;;same;%s;user%d@example.org;%s;%s\n",
			i, 900000-i, opened, strings.Replace(fmt.Sprintf("%.1f", size), ".", ",", 1), price,
			pick("privat", "Firma"), pick("neu", "alt", "?"), region, pick("de", "fr", "it"), device,
			pick("kaputt", "laut", "heiß"), r.IntN(1e6), pick("schnell", "bald"), pick("bitte", "danke"),
			1+r.IntN(12), 13+r.IntN(15), pick("2025-01-31", "2026-06-30", ""), 1+r.IntN(5), pick("true", "false"), r.IntN(1e6), pick("male", "female"), class)
	}
	return b.String()
}

func TestMessyFile(t *testing.T) {
	s := begin(t)
	s.file("tickets 2024.csv", messy(1500))
	p := s.plan("out", "--from", "tickets 2024.csv")
	kind := map[string]Kind{}
	for _, f := range p.Feature {
		kind[f.Column] = f.Kind
	}
	dropped := map[string]bool{}
	for _, d := range p.Dropped {
		dropped[d.Column] = true
	}
	if p.Target.Column != "Kategorie" || p.Target.Task != "multiclass" || !slices.Equal(p.Target.Classes, []string{"A1", "B2", "C3", "D4", "E5"}) {
		t.Errorf("target %+v", p.Target)
	}
	if p.Key != "Ticket No." || p.Split != "time" || !slices.Equal(p.Time.Part, []string{"Opened On"}) || p.Time.From != "2024-01-02T00:00:00Z" {
		t.Errorf("key %q, time %+v, split %s", p.Key, p.Time, p.Split)
	}
	want := map[string]Kind{
		"Größe (cm)": Numeric, "Preis €": Numeric, "Kunde": Categorical, "Kunde_1": Categorical, "Region": Categorical, "Sprache": Categorical, "Gerät": Categorical,
		"zuletzt gesehen": Dated, "Garantie bis": Dated, "Stufe": Numeric, "is vip": Numeric, "sex": Categorical,
	}
	if diff := cmp.Diff(want, kind); diff != "" {
		t.Errorf("features (-want +got):\n%s", diff)
	}
	for _, name := range []string{"column0", "Beschreibung", "Empty", "Constant", "e-mail"} {
		if !dropped[name] {
			t.Errorf("%s was not left out: %+v", name, p.Dropped)
		}
	}
	if !slices.Equal(p.Slice, []string{"sex"}) || !slices.Contains(p.Read.Missing, "k.A.") {
		t.Errorf("slices %v, missing %v", p.Slice, p.Read.Missing)
	}
	dir := filepath.Join(s.dir, "out")
	if d := loads(t, dir).Data["tickets-2024"]; d.Path != "data/tickets-2024.csv" || d.Contract != "contracts/tickets-2024.yaml" {
		t.Errorf("%+v", d)
	}
	if m := python(t, dir); m["accuracy"] < m["accuracy_baseline"]+0.2 {
		t.Errorf("the model has learned too little: %v", m)
	}
}
