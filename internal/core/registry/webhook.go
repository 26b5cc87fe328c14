package registry

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/clock"
)

// WebhookOptions is what sending messages about models needs.
type WebhookOptions struct {
	Key     []byte      // seals the secrets of webhooks in the database
	Private bool        // messages may go to http addresses and into private networks
	Clock   clock.Clock // machine time; nil is the machine's
	client  *http.Client
}

func (o *WebhookOptions) fill() {
	if o.Clock == nil {
		o.Clock = clock.Wall{}
	}
	o.client = webhookClient(o.Private)
}

// Webhook is an address that is told what happens to models.
type Webhook struct {
	ID          string    `json:"id"`
	Project     string    `json:"project"` // whose models; "" is every project
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	URL         string    `json:"url"`
	Topic       []Topic   `json:"topic"`
	Active      bool      `json:"active"`
	Created     time.Time `json:"created"`
	Updated     time.Time `json:"updated"`
	sealed      []byte    // the secret; nil when messages are not signed
}

// Topic is what a message is about: an entity and what happened to it, in
// MLflow's words.
type Topic string

// The topics.
const (
	ModelCreated   Topic = "registered_model.created"
	VersionCreated Topic = "model_version.created"
	TagSet         Topic = "model_version_tag.set"
	TagDeleted     Topic = "model_version_tag.deleted"
	AliasCreated   Topic = "model_version_alias.created"
	AliasDeleted   Topic = "model_version_alias.deleted"
)

// examples are the topics that there are, and the data of a trial message.
var examples = map[Topic]map[string]any{
	ModelCreated: {"name": "example_model", "tags": map[string]string{"example_key": "example_value"}, "description": "An example registered model"},
	VersionCreated: {"name": "example_model", "version": "1", "source": "models:/123", "run_id": "abcd1234abcd5678",
		"tags": map[string]string{"example_key": "example_value"}, "description": "An example model version"},
	TagSet:       {"name": "example_model", "version": "1", "key": "example_key", "value": "example_value"},
	TagDeleted:   {"name": "example_model", "version": "1", "key": "example_key"},
	AliasCreated: {"name": "example_model", "alias": "example_alias", "version": "1"},
	AliasDeleted: {"name": "example_model", "alias": "example_alias"},

	PromptCreated: {"name": "example_prompt", "tags": map[string]string{"example_key": "example_value"}, "description": "An example prompt"},
	PromptVersionCreated: {"name": "example_prompt", "version": "1", "template": "Hello {{name}}!",
		"tags": map[string]string{"example_key": "example_value"}, "description": "An example prompt version"},
	PromptTagSet:            {"name": "example_prompt", "key": "example_key", "value": "example_value"},
	PromptTagDeleted:        {"name": "example_prompt", "key": "example_key"},
	PromptVersionTagSet:     {"name": "example_prompt", "version": "1", "key": "example_key", "value": "example_value"},
	PromptVersionTagDeleted: {"name": "example_prompt", "version": "1", "key": "example_key"},
	PromptAliasCreated:      {"name": "example_prompt", "alias": "example_alias", "version": "1"},
	PromptAliasDeleted:      {"name": "example_prompt", "alias": "example_alias"},
}

// arrived is what a webhook is told of a new version.
func arrived(a arrival, v slipway.ModelVersion) map[string]any {
	tags := map[string]string{}
	for _, t := range a.tag {
		tags[t.Key] = t.Value
	}
	_, version, _ := strings.Cut(v.ID(), "@v")
	return map[string]any{"name": v.Name, "version": version, "source": v.Origin, "run_id": orNull(v.Run), "tags": tags, "description": orNull(v.Description)}
}

// WebhookChange is what shall be different about a webhook; nil stays.
type WebhookChange struct {
	Name, Description, URL, Secret *string
	Topic                          []Topic
	Active                         *bool
}

var webhookName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)

// apply checks a change and makes it.
func (s *Service) apply(ctx context.Context, w *Webhook, c WebhookChange) (err error) {
	if c.Name != nil {
		if w.Name = *c.Name; !webhookName.MatchString(w.Name) {
			return slipway.Errorf(slipway.Invalid, "Webhook name '%.100s' is invalid. It must start and end with a letter or digit, be less than 63 characters long, "+
				"and contain only letters, digits, dots (.), underscores (_), and hyphens (-).", w.Name)
		}
	}
	if c.URL != nil {
		if err := s.o.Webhook.check(ctx, *c.URL); err != nil {
			return err
		}
		w.URL = *c.URL
	}
	if c.Topic != nil {
		w.Topic = slices.Compact(slices.Clone(c.Topic))
		for _, t := range w.Topic {
			if examples[t] == nil {
				return slipway.Errorf(slipway.Invalid, "Invalid webhook event '%s': this server tells of registered models, prompts, their versions, tags and aliases", t)
			}
		}
	}
	if c.Description != nil {
		w.Description = *c.Description
	}
	if c.Secret != nil {
		if w.sealed, err = s.o.Webhook.seal(*c.Secret); err != nil {
			return err
		}
	}
	if c.Active != nil {
		w.Active = *c.Active
	}
	if len(w.Topic) == 0 {
		return slipway.Errorf(slipway.Invalid, "Webhook events must be a non-empty list of WebhookEvent objects: [].")
	}
	return nil
}

// CreateWebhook makes a webhook for the models of a project, "" for all.
func (s *Service) CreateWebhook(ctx context.Context, project string, c WebhookChange) (Webhook, error) {
	w := Webhook{ID: uuid.NewString(), Project: project, Active: true}
	if err := s.apply(ctx, &w, c); err != nil {
		return w, err
	}
	return s.saveWebhook(ctx, w, "webhook.created")
}

// UpdateWebhook changes a webhook. It fails with NotFound.
func (s *Service) UpdateWebhook(ctx context.Context, project, id string, c WebhookChange) (Webhook, error) {
	w, err := s.Webhook(ctx, project, id)
	if err == nil {
		err = s.apply(ctx, &w, c)
	}
	if err != nil {
		return w, err
	}
	return s.saveWebhook(ctx, w, "webhook.changed")
}

// check refuses an address that messages may not go to. What its name stands
// for is looked at again when a message is sent.
func (o WebhookOptions) check(ctx context.Context, address string) error {
	if strings.TrimSpace(address) == "" {
		return slipway.Errorf(slipway.Invalid, "Webhook URL cannot be empty or just whitespace: '%s'", address)
	}
	u, err := url.Parse(address)
	if err != nil {
		return slipway.Errorf(slipway.Invalid, "Invalid webhook URL '%s'", address)
	}
	if u.Scheme != "https" && !(o.Private && u.Scheme == "http") {
		return slipway.Errorf(slipway.Invalid, "Invalid webhook URL scheme: '%s'. Allowed schemes are: https.", u.Scheme)
	}
	if u.Hostname() == "" {
		return slipway.Errorf(slipway.Invalid, "Webhook URL must include a hostname: '%s'", address)
	}
	if o.Private {
		return nil
	}
	return checkHost(ctx, u.Hostname())
}

// seal encrypts a secret with AES-GCM; "" is no secret.
func (o WebhookOptions) seal(secret string) ([]byte, error) {
	if secret == "" {
		return nil, nil
	}
	box, err := o.box()
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, box.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return box.Seal(nonce, nonce, []byte(secret), nil), nil
}

// open decrypts what seal made.
func (o WebhookOptions) open(sealed []byte) (string, error) {
	if len(sealed) == 0 {
		return "", nil
	}
	box, err := o.box()
	if err != nil {
		return "", err
	}
	if len(sealed) < box.NonceSize() {
		return "", slipway.Errorf(slipway.Invalid, "the webhook's secret is damaged")
	}
	text, err := box.Open(nil, sealed[:box.NonceSize()], sealed[box.NonceSize():], nil)
	if err != nil {
		return "", slipway.Errorf(slipway.Invalid, "the webhook's secret was sealed with another key").WithHint("give it again")
	}
	return string(text), nil
}

func (o WebhookOptions) box() (cipher.AEAD, error) {
	if len(o.Key) == 0 {
		return nil, slipway.Errorf(slipway.Invalid, "this server has no key to keep a webhook's secret with")
	}
	key := sha256.Sum256(append([]byte("slipway webhook secret\n"), o.Key...))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
