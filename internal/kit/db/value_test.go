package db_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	slipway "github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
)

var values = []db.Migration{{Name: "value", Statements: []string{
	`CREATE TABLE value (id BIGINT PRIMARY KEY, t TEXT, n BIGINT, f DOUBLE PRECISION, b BLOB)`,
}}}

// roundTrip stores arg in a column and scans it into dst.
func roundTrip(d *db.DB, t *testing.T, column string, arg, dst any) error {
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		if _, err := tx.Exec("DELETE FROM value"); err != nil {
			return err
		}
		_, err := tx.Exec("INSERT INTO value (id, "+column+") VALUES (1, ?)", arg)
		return err
	})
	if err != nil {
		return err
	}
	return d.Read(t.Context(), func(tx *db.Tx) error {
		return tx.QueryRow("SELECT " + column + " FROM value").Scan(dst)
	})
}

// check stores v, reads it back into its own type, and wants it unchanged.
func check[T any](column string, v T) func(*testing.T, *db.DB) {
	return func(t *testing.T, d *db.DB) {
		t.Helper()
		var got T
		if err := roundTrip(d, t, column, v, &got); err != nil {
			t.Errorf("%T %v: %v", v, v, err)
		} else if diff := cmp.Diff(v, got, cmpopts.EquateNaNs()); diff != "" {
			t.Errorf("%T %v:\n%s", v, v, diff)
		}
	}
}

type celsius float64

func TestEveryTypeSurvives(t *testing.T) {
	text, number := "x", int64(7)
	cases := []func(*testing.T, *db.DB){
		check("t", ""), check("t", "ünï'\"?\n"), check("t", strings.Repeat("long ", 100_000)),
		check("t", slipway.Digest("ab")), check("t", slipway.KindModel),
		check("t", slipway.VersionRef(slipway.KindModel, "churn", 3)), check("t", slipway.Ref{}),
		check("t", json.RawMessage(`{"a":[1,2.5,null]}`)), check("t", &text), check("t", (*string)(nil)),
		check("n", 0), check("n", int64(math.MaxInt64)), check("n", int64(math.MinInt64)), check("n", int32(-5)), check("n", uint16(9)),
		check("n", true), check("n", false), check("n", 90*time.Second), check("n", &number), check("n", (*int64)(nil)),
		check("n", time.Time{}), check("n", time.Date(2013, 1, 1, 5, 17, 0, 123456000, time.UTC)), check("n", time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)),
		check("f", 0.1), check("f", math.NaN()), check("f", math.Inf(1)), check("f", math.Inf(-1)),
		check("f", math.MaxFloat64), check("f", math.SmallestNonzeroFloat64), check("f", 3.0), check("f", float32(0.5)), check("f", celsius(36.6)),
		check("b", []byte{0, 255, 1}), check("b", []byte{}), check("b", []byte(nil)),
	}
	dbtest.Each(t, values, func(t *testing.T, d *db.DB) {
		for _, c := range cases {
			c(t, d)
		}
		var list []string
		if err := roundTrip(d, t, "t", db.JSON([]string{"a", "<b>"}), db.JSON(&list)); err != nil || !cmp.Equal(list, []string{"a", "<b>"}) {
			t.Errorf("JSON: %v, %v", list, err)
		}
		var local time.Time
		berlin := time.Date(2024, 7, 1, 12, 0, 0, 1999, time.FixedZone("", 7200))
		if err := roundTrip(d, t, "n", berlin, &local); err != nil || local != time.Date(2024, 7, 1, 10, 0, 0, 1000, time.UTC) {
			t.Errorf("a local time came back as %v, %v", local, err)
		}
	})
}

// What cannot be kept is refused the same on both, with a code for the user.
func TestBadValuesAreRefused(t *testing.T) {
	dbtest.Each(t, values, func(t *testing.T, d *db.DB) {
		for _, c := range []struct {
			column string
			arg    any
		}{
			{"t", "a\x00b"}, {"t", "a\xffb"}, {"n", uint64(math.MaxUint64)}, {"t", db.JSON(math.NaN())},
		} {
			var got any
			if err := roundTrip(d, t, c.column, c.arg, &got); !slipway.IsCode(err, slipway.Invalid) {
				t.Errorf("%v: %v, want an invalid error", c.arg, err)
			}
		}
		var s string
		if err := roundTrip(d, t, "t", nil, &s); err == nil || !strings.Contains(err.Error(), "NULL") {
			t.Errorf("NULL into a string: %v", err)
		}
		var small int8
		if err := roundTrip(d, t, "n", 300, &small); err == nil {
			t.Error("300 went into an int8")
		}
		if err := roundTrip(d, t, "f", 1.5, &small); err == nil {
			t.Error("1.5 went into an integer")
		}
		if err := roundTrip(d, t, "n", struct{}{}, &s); err == nil || !strings.Contains(err.Error(), "db.JSON") {
			t.Errorf("a struct as an argument: %v", err)
		}
	})
}

// Order, comparison and arithmetic agree between the two databases.
func TestTheTwoAgree(t *testing.T) {
	dbtest.Each(t, values, func(t *testing.T, d *db.DB) {
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			for i, f := range []float64{math.NaN(), 2, math.Inf(1), -1, math.Inf(-1)} {
				if _, err := tx.Exec("INSERT INTO value (id, f, t, n) VALUES (?, ?, ?, ?)", i, f, []string{"b", "B", "ä", "_", "a"}[i], i); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for sql, want := range map[string]any{
			"SELECT id FROM value ORDER BY f":                                  []int64{4, 3, 1, 2, 0},
			"SELECT id FROM value WHERE f > 1e308 ORDER BY id":                 []int64{0, 2},
			"SELECT id FROM value WHERE f = ? ORDER BY id":                     []int64{0},
			"SELECT id FROM value ORDER BY t":                                  []int64{1, 3, 4, 0, 2},
			"SELECT id FROM value WHERE t LIKE 'b%' ORDER BY id":               []int64{0},
			`SELECT id FROM value WHERE t LIKE '\_' ESCAPE '\'`:                []int64{3},
			"SELECT sum(n) FROM value":                                         []int64{10},
			"SELECT count(*) FROM value":                                       []int64{5},
			"SELECT n / 2 FROM value WHERE id = 3":                             []int64{1},
			"SELECT max(id) FROM value WHERE 'it''s ?' <> t -- why?":           []int64{4},
			"SELECT CASE WHEN id > 3 THEN 1 ELSE 0 END FROM value ORDER BY id": []int64{0, 0, 0, 0, 1},
			"SELECT id FROM value WHERE t = ?2 AND n = ?1 OR n = ?1":           []int64{3},
		} {
			var args []any
			switch {
			case strings.Contains(sql, "?2"):
				args = []any{3, "_"}
			case strings.Contains(sql, "f = ?"):
				args = []any{math.NaN()}
			}
			var got []int64
			err := d.Read(t.Context(), func(tx *db.Tx) (err error) {
				got, err = db.All(tx, func(s db.Scanner) (n int64, err error) { return n, s.Scan(&n) }, sql, args...)
				return err
			})
			if diff := cmp.Diff(want, any(got)); err != nil || diff != "" {
				t.Errorf("%s: %v\n%s", sql, err, diff)
			}
		}
		var mean float64
		err = d.Read(t.Context(), func(tx *db.Tx) error { return tx.QueryRow("SELECT avg(n) FROM value WHERE n > 2").Scan(&mean) })
		if err != nil || mean != 3.5 {
			t.Errorf("mean %v, %v", mean, err)
		}
	})
}
