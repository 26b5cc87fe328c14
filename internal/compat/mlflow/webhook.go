package mlflow

import (
	"context"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/registry"
)

// webhookRoutes is the table of webhooks.
func (s *Server) webhookRoutes() []route {
	m := s.o.Registry.Models
	return []route{
		{"POST", "webhooks", s.createWebhook},
		{"GET", "webhooks", s.listWebhooks},
		{"GET", "webhooks/{id}", func(ctx context.Context, c *call) (any, error) {
			project, err := writable(ctx)
			if err != nil {
				return nil, err
			}
			return webhookReply(m.Webhook(ctx, project, c.PathValue("id")))
		}},
		{"PATCH", "webhooks/{id}", s.updateWebhook},
		{"DELETE", "webhooks/{id}", func(ctx context.Context, c *call) (any, error) {
			project, err := writable(ctx)
			if err != nil {
				return nil, err
			}
			return empty{}, m.DeleteWebhook(ctx, project, c.PathValue("id"))
		}},
		{"POST", "webhooks/{id}/test", s.testWebhook},
	}
}

// writable is the project whose webhooks the caller deals with, "" for all. Who
// may only read is not shown where messages go.
func writable(ctx context.Context) (string, error) {
	project := slipway.PrincipalOf(ctx).Project
	return project, slipway.Allow(ctx, slipway.Writer, project)
}

type webhookEvent struct {
	Entity string `json:"entity"`
	Action string `json:"action"`
}

func (e webhookEvent) topic() registry.Topic {
	return registry.Topic(strings.ToLower(e.Entity) + "." + strings.ToLower(e.Action))
}

type webhookWire struct {
	ID          string         `json:"webhook_id"`
	Name        string         `json:"name"`
	Description string         `json:"description,omitempty"`
	URL         string         `json:"url"`
	Events      []webhookEvent `json:"events"`
	Status      string         `json:"status"`
	Created     int64          `json:"creation_timestamp"`
	Updated     int64          `json:"last_updated_timestamp"`
}

func webhookOut(w registry.Webhook) webhookWire {
	out := webhookWire{w.ID, w.Name, w.Description, w.URL, []webhookEvent{}, "DISABLED", millis(w.Created), millis(w.Updated)}
	for _, t := range w.Topic {
		entity, action, _ := strings.Cut(strings.ToUpper(string(t)), ".")
		out.Events = append(out.Events, webhookEvent{entity, action})
	}
	if w.Active {
		out.Status = "ACTIVE"
	}
	return out
}

func webhookReply(w registry.Webhook, err error) (any, error) {
	return map[string]any{"webhook": webhookOut(w)}, err
}

type webhookRequest struct {
	Name        *string        `json:"name"`
	Description *string        `json:"description"`
	URL         *string        `json:"url"`
	Events      []webhookEvent `json:"events"`
	Secret      *string        `json:"secret"`
	Status      *string        `json:"status"`
}

// change is what a request asks for. A name or an address that is empty is not
// given.
func (in webhookRequest) change() (c registry.WebhookChange, err error) {
	c = registry.WebhookChange{Name: given(in.Name), Description: in.Description, URL: given(in.URL), Secret: in.Secret}
	for _, e := range in.Events {
		c.Topic = append(c.Topic, e.topic())
	}
	if in.Status != nil {
		active := *in.Status == "ACTIVE"
		if !active && *in.Status != "DISABLED" {
			return c, slipway.Errorf(slipway.Invalid, "Invalid webhook status '%s'. It is ACTIVE or DISABLED.", *in.Status)
		}
		c.Active = &active
	}
	return c, nil
}

func given(s *string) *string {
	if s != nil && *s == "" {
		return nil
	}
	return s
}

func (s *Server) createWebhook(ctx context.Context, c *call) (any, error) {
	project, err := writable(ctx)
	if err != nil {
		return nil, err
	}
	in, err := decode[webhookRequest](c)
	if err != nil {
		return nil, err
	}
	change, err := in.change()
	switch {
	case err != nil:
		return nil, err
	case change.Name == nil:
		return nil, required("name", "")
	case change.URL == nil:
		return nil, required("url", "")
	case len(change.Topic) == 0:
		return nil, required("events", "")
	}
	return webhookReply(s.o.Registry.Models.CreateWebhook(ctx, project, change))
}

func (s *Server) updateWebhook(ctx context.Context, c *call) (any, error) {
	project, err := writable(ctx)
	if err != nil {
		return nil, err
	}
	in, err := decode[webhookRequest](c)
	if err != nil {
		return nil, err
	}
	change, err := in.change()
	if err != nil {
		return nil, err
	}
	return webhookReply(s.o.Registry.Models.UpdateWebhook(ctx, project, c.PathValue("id"), change))
}

func (s *Server) listWebhooks(ctx context.Context, c *call) (any, error) {
	project, err := writable(ctx)
	if err != nil {
		return nil, err
	}
	in, err := decode[searchRequest](c)
	if err != nil {
		return nil, err
	}
	found, next, err := s.o.Registry.Models.Webhooks(ctx, registry.Search{Project: project, Limit: int(in.Limit), Page: in.Page})
	out := struct {
		Webhooks []webhookWire `json:"webhooks"`
		Next     string        `json:"next_page_token,omitempty"`
	}{[]webhookWire{}, next}
	for _, w := range found {
		out.Webhooks = append(out.Webhooks, webhookOut(w))
	}
	return out, err
}

func (s *Server) testWebhook(ctx context.Context, c *call) (any, error) {
	project, err := writable(ctx)
	if err != nil {
		return nil, err
	}
	in, err := decode[struct {
		Event *webhookEvent `json:"event"`
	}](c)
	if err != nil {
		return nil, err
	}
	var topic registry.Topic
	if in.Event != nil {
		topic = in.Event.topic()
	}
	tried, err := s.o.Registry.Models.TryWebhook(ctx, project, c.PathValue("id"), topic)
	type result struct {
		Success bool   `json:"success"`
		Status  int    `json:"response_status,omitempty"`
		Body    string `json:"response_body,omitempty"`
		Error   string `json:"error_message,omitempty"`
	}
	return map[string]any{"result": result{tried.Error == "" && tried.Status < 400, tried.Status, tried.Answer, tried.Error}}, err
}
