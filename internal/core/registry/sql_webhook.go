package registry

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

const webhookColumns = `w.id, w.project, w.name, w.description, w.url, w.topic, w.secret, w.active, w.created, w.updated`

func webhookDst(w *Webhook) []any {
	return []any{&w.ID, &w.Project, &w.Name, &w.Description, &w.URL, db.JSON(&w.Topic), &w.sealed, &w.Active, &w.Created, &w.Updated}
}

func scanWebhook(r db.Scanner) (w Webhook, err error) {
	err = r.Scan(webhookDst(&w)...)
	return w, err
}

// saveWebhook writes a webhook, new or changed.
func (s *Service) saveWebhook(ctx context.Context, w Webhook, verb string) (Webhook, error) {
	err := s.o.DB.Write(ctx, func(tx *db.Tx) error {
		w.Updated = tx.Now()
		if w.Created.IsZero() {
			w.Created = w.Updated
		}
		_, err := tx.Exec(`INSERT INTO model_webhook (id, project, name, description, url, topic, secret, active, created, updated) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET name = excluded.name, description = excluded.description, url = excluded.url, topic = excluded.topic,
				secret = excluded.secret, active = excluded.active, updated = excluded.updated`,
			w.ID, w.Project, w.Name, w.Description, w.URL, db.JSON(w.Topic), w.sealed, w.Active, w.Created, w.Updated)
		if err != nil {
			return err
		}
		data, err := json.Marshal(w)
		if err != nil {
			return err
		}
		return tx.Record(slipway.Event{Project: w.Project, Verb: verb, Subject: slipway.NewRef(kindWebhook, w.ID), Data: data})
	})
	return w, err
}

// kindWebhook is what the log calls a webhook.
const kindWebhook slipway.Kind = "webhook"

// Webhook reads a webhook of a project, or of any project for "". It fails with
// NotFound.
func (s *Service) Webhook(ctx context.Context, project, id string) (w Webhook, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) error {
		w, err = db.One(tx, scanWebhook, `SELECT `+webhookColumns+` FROM model_webhook w WHERE w.id = ? AND (w.project = ? OR ? = '')`, id, project, project)
		if slipway.IsCode(err, slipway.NotFound) {
			return slipway.Errorf(slipway.NotFound, "Webhook with ID %s not found.", id)
		}
		return err
	})
	return w, err
}

// Webhooks lists the webhooks of a project, or of all for "", newest first.
func (s *Service) Webhooks(ctx context.Context, q Search) (out []Webhook, next string, err error) {
	f := statement{}
	if f.limit, f.offset, err = q.window(searched{limit: 1000, limit0: 100}); err != nil {
		return nil, "", err
	}
	err = s.o.DB.Read(ctx, func(tx *db.Tx) error {
		out, err = db.All(tx, scanWebhook, `SELECT `+webhookColumns+` FROM model_webhook w WHERE w.project = ? OR ? = ''
			ORDER BY w.created DESC, w.id LIMIT ? OFFSET ?`, q.Project, q.Project, f.limit+1, f.offset)
		return err
	})
	out, next = turn(q, f, out)
	return out, next, err
}

// DeleteWebhook deletes a webhook and what it was still to be told. It fails
// with NotFound.
func (s *Service) DeleteWebhook(ctx context.Context, project, id string) error {
	w, err := s.Webhook(ctx, project, id)
	if err != nil {
		return err
	}
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(`DELETE FROM model_webhook_message WHERE webhook = ?`, id); err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM model_webhook WHERE id = ?`, id); err != nil {
			return err
		}
		return tx.Record(slipway.Event{Project: w.Project, Verb: "webhook.deleted", Subject: slipway.NewRef(kindWebhook, id)})
	})
}

// announce puts a message for every webhook that wants the topic into the
// outbox, in the transaction of what it tells of.
func announce(tx *db.Tx, project string, t Topic, data map[string]any) error {
	hooks, err := db.All(tx, scanWebhook, `SELECT `+webhookColumns+` FROM model_webhook w WHERE w.active = 1 AND (w.project = ? OR w.project = '')`, project)
	if err != nil {
		return err
	}
	if len(hooks) == 0 {
		return nil
	}
	switch prompt, err := isPrompt(tx, project, data["name"]); {
	case err != nil:
		return err
	case prompt:
		t, data = asPrompt(t, data)
	case t == PromptTagSet || t == PromptTagDeleted:
		return nil // nobody is told of the tags of a model as a whole
	}
	for _, w := range hooks {
		if !slices.Contains(w.Topic, t) {
			continue
		}
		body, err := envelope(t, tx.Now(), data)
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO model_webhook_message (id, webhook, body, state, attempts, next, error, created, sent) VALUES (?, ?, ?, 'waiting', 0, 0, '', ?, 0)`,
			uuid.NewString(), w.ID, string(body), tx.Now())
		if err != nil {
			return err
		}
	}
	return nil
}

// due are the messages to be tried now, oldest first. A message waits while an
// older one of its webhook does.
func (s *Service) due(ctx context.Context, now time.Time) (out []message, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) error {
		out, err = db.All(tx, func(r db.Scanner) (m message, err error) {
			var body string
			err = r.Scan(append([]any{&m.number, &m.id, &body, &m.attempts, &m.next}, webhookDst(&m.webhook)...)...)
			m.body = []byte(body)
			return m, err
		}, `SELECT x.number, x.id, x.body, x.attempts, x.next, `+webhookColumns+` FROM model_webhook_message x JOIN model_webhook w ON w.id = x.webhook
			WHERE x.state = 'waiting' AND x.next <= ? AND w.active = 1 AND NOT EXISTS (SELECT 1 FROM model_webhook_message o
				WHERE o.webhook = x.webhook AND o.state = 'waiting' AND o.next > ? AND o.number < x.number)
			ORDER BY x.number LIMIT 200`, now, now)
		return err
	})
	return out, err
}

// claim takes a message for this process until a time.
func (s *Service) claim(ctx context.Context, m message, until time.Time) (mine bool, err error) {
	err = s.o.DB.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(`UPDATE model_webhook_message SET next = ? WHERE number = ? AND state = 'waiting' AND next = ?`, until, m.number, m.next)
		mine = n > 0
		return err
	})
	return mine, err
}

// keep is how long a message that is dealt with stays to be looked at.
const keep = 7 * 24 * time.Hour

// settle writes down how an attempt went.
func (s *Service) settle(ctx context.Context, m message, state, reason string, next time.Time) error {
	now := s.o.Webhook.Clock.Now()
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		sent := time.Time{}
		if state == "sent" {
			sent = now
		}
		_, err := tx.Exec(`UPDATE model_webhook_message SET state = ?, attempts = ?, next = ?, error = ?, sent = ? WHERE number = ?`,
			state, m.attempts, next, reason, sent, m.number)
		if err == nil {
			_, err = tx.Exec(`DELETE FROM model_webhook_message WHERE state IN ('sent', 'failed') AND created < ?`, now.Add(-keep))
		}
		return err
	})
}
