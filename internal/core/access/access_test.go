package access_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/access"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
)

func TestTokenLife(t *testing.T) {
	dbtest.Each(t, []db.Migration{access.Migration}, func(t *testing.T, d *db.DB) {
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		s := access.New(access.Options{DB: d, Now: func() time.Time { return now }})
		admin := slipway.WithPrincipal(t.Context(), slipway.Principal{Name: "ana", Role: slipway.Admin})

		made, err := s.Create(admin, "ci", slipway.Operator, "flights", 24*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		want := slipway.Principal{Name: "ci", Role: slipway.Operator, Project: "flights"}
		if got, err := s.Authenticate(t.Context(), made.Secret); err != nil || got != want {
			t.Fatalf("Authenticate = %+v, %v; want %+v", got, err, want)
		}
		if any, err := s.Any(t.Context()); err != nil || !any {
			t.Fatalf("Any = %v, %v", any, err)
		}
		refuse(t, s, made.Secret+"x", "a secret with one more letter")

		now = now.Add(24 * time.Hour)
		refuse(t, s, made.Secret, "an expired token")
		if any, _ := s.Any(t.Context()); any {
			t.Error("an expired token counts as access")
		}

		lasting, err := s.Create(admin, "ana", slipway.Reader, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Revoke(admin, "ana"); err != nil {
			t.Fatal(err)
		}
		refuse(t, s, lasting.Secret, "a revoked token")
		if _, err := s.Revoke(admin, "ana"); !slipway.IsCode(err, slipway.NotFound) {
			t.Errorf("revoking twice = %v; want not_found", err)
		}
		events, err := d.Events(t.Context(), 0, 10)
		if err != nil || len(events) != 3 {
			t.Fatalf("%d events, %v; want 3", len(events), err)
		}
		for _, e := range events {
			if strings.Contains(string(e.Data), "slw_") {
				t.Errorf("event %s holds a secret", e.Verb)
			}
		}
	})
}

func TestNobodyGivesMoreThanTheyHave(t *testing.T) {
	dbtest.Each(t, []db.Migration{access.Migration}, func(t *testing.T, d *db.DB) {
		s := access.New(access.Options{DB: d})
		writer := slipway.WithPrincipal(t.Context(), slipway.Principal{Name: "w", Role: slipway.Writer})
		for _, c := range []struct {
			ctx  context.Context
			name string
			role slipway.Role
			want slipway.Code
		}{
			{writer, "x", slipway.Operator, slipway.Denied},
			{t.Context(), "x", slipway.Reader, slipway.Unauthenticated},
			{writer, "", slipway.Reader, slipway.Invalid},
			{writer, "x", "king", slipway.Invalid},
		} {
			if _, err := s.Create(c.ctx, c.name, c.role, "", 0); !slipway.IsCode(err, c.want) {
				t.Errorf("Create(%q, %q) = %v; want %s", c.name, c.role, err, c.want)
			}
		}
	})
}

func refuse(t *testing.T, s *access.Service, secret, what string) {
	t.Helper()
	if p, err := s.Authenticate(t.Context(), secret); !slipway.IsCode(err, slipway.Unauthenticated) {
		t.Errorf("%s: %+v, %v; want unauthenticated", what, p, err)
	}
}
