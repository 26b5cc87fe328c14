package registry_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/registry"
	"github.com/slipway-ml/slipway/internal/kit/clock"
)

// receiver is an address that is told things.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	status []int // of the next answers; 200 after them
	got    []received
}

type received struct {
	id, what string
	data     map[string]any
	signed   bool
}

func newReceiver(t *testing.T, secret string) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		var m struct {
			Entity, Action, Timestamp string
			Data                      map[string]any
		}
		if err := json.Unmarshal(body, &m); err != nil || m.Timestamp == "" {
			t.Errorf("%v in %s", err, body)
		}
		id, at := req.Header.Get("X-MLflow-Delivery-Id"), req.Header.Get("X-MLflow-Timestamp")
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(id + "." + at + "." + string(body)))
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, received{id, m.Entity + "." + m.Action, m.Data,
			req.Header.Get("X-MLflow-Signature") == "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil))})
		if len(r.status) > 0 {
			w.WriteHeader(r.status[0])
			r.status = r.status[1:]
		}
		_, _ = io.WriteString(w, "heard")
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) take() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.got
	r.got = nil
	return got
}

// server is one more process on w's database.
func (w *world) server(key string, now clock.Clock) *registry.Service {
	return registry.New(registry.Options{DB: w.db, Content: w.content, Applied: w, Rows: w,
		Webhook: registry.WebhookOptions{Key: []byte(key), Private: true, Clock: now}})
}

func text(s string) *string { return &s }

// TestWebhooksAreToldEverythingOnceInOrder has a receiver that fails, a server
// that dies with messages unsent, and one that takes over.
func TestWebhooksAreToldEverythingOnceInOrder(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx, r := w.ctx(slipway.Writer), newReceiver(t, "hush")
		now := clock.NewFake(time.Now())
		first := w.server("key", now)
		all := []registry.Topic{registry.ModelCreated, registry.TagSet, registry.TagDeleted, registry.AliasCreated, registry.AliasDeleted}
		hook, err := first.CreateWebhook(ctx, "p", registry.WebhookChange{Name: text("ci"), URL: text(r.URL), Secret: text("hush"), Topic: all})
		w.must(err)
		_, err = first.CreateWebhook(ctx, "other", registry.WebhookChange{Name: text("other"), URL: text(r.URL), Topic: all})
		w.must(err)
		w.create("m", registry.Tag{Key: "team", Value: "ops"})
		w.arrive("m", w.tree("a", "a")) // no topic of the webhook's
		w.must(w.SetTag(ctx, "p", "m", 1, registry.Tag{Key: "k", Value: "v"}))
		w.must(w.PointAlias(ctx, "p", "m", "best", 1))

		deliver := func(s *registry.Service) []received {
			t.Helper()
			if _, err := s.Deliver(t.Context()); err != nil {
				t.Fatal(err)
			}
			return r.take()
		}
		r.status = []int{200, 503}
		got := deliver(first)
		if len(got) != 2 || got[0].what != "registered_model.created" || !got[0].signed || got[1].what != "model_version_tag.set" {
			t.Fatalf("the receiver fails at the second: %+v", got)
		}
		want := map[string]any{"name": "m", "tags": map[string]any{"team": "ops"}, "description": "about m"}
		if diff := cmp.Diff(want, got[0].data); diff != "" {
			t.Error(diff)
		}
		failed := got[1].id
		if got := deliver(first); len(got) != 0 {
			t.Fatalf("before it is time, and before those in front: %+v", got)
		}
		now.Advance(time.Hour)
		second := w.server("key", now) // the first one was killed
		got = deliver(second)
		if len(got) != 2 || got[0].id != failed || !got[0].signed || got[1].what != "model_version_alias.created" {
			t.Fatalf("after the server was killed: %+v", got)
		}
		if got := append(deliver(first), deliver(second)...); len(got) != 0 {
			t.Fatalf("sent again: %+v", got)
		}
		w.must(w.DropTag(ctx, "p", "m", 1, "k"))
		w.must(w.DeleteModel(ctx, "p", "m"))
		r.status = []int{410}
		if got := deliver(second); len(got) != 2 {
			t.Fatalf("a refusal is final, and holds nobody up: %+v", got)
		}
		now.Advance(24 * time.Hour)
		if got := deliver(second); len(got) != 0 {
			t.Fatalf("a refused message came again: %+v", got)
		}

		tried, err := second.TryWebhook(ctx, "p", hook.ID, registry.AliasDeleted)
		if err != nil || tried.Status != 200 || tried.Answer != "heard" || r.take()[0].what != "model_version_alias.deleted" {
			t.Errorf("a trial: %+v, %v", tried, err)
		}
		if tried, err := w.server("another key", now).TryWebhook(ctx, "p", hook.ID, ""); err != nil || tried.Error == "" || len(r.take()) != 0 {
			t.Errorf("with another key, the secret cannot be read: %+v, %v", tried, err)
		}
		w.must(second.DeleteWebhook(ctx, "p", hook.ID))
		w.create("n")
		if got := deliver(second); len(got) != 0 {
			t.Errorf("after the webhook was deleted: %+v", got)
		}
	})
}

// TestPromptsAreToldAsPrompts registers a prompt as MLflow's clients do.
func TestPromptsAreToldAsPrompts(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx, r := w.ctx(slipway.Writer), newReceiver(t, "")
		s := w.server("k", clock.Wall{})
		_, err := s.CreateWebhook(ctx, "", registry.WebhookChange{Name: text("p"), URL: &r.URL, Topic: []registry.Topic{registry.PromptCreated,
			registry.PromptVersionCreated, registry.PromptTagSet, registry.ModelCreated}})
		w.must(err)
		mark := registry.Tag{Key: "mlflow.prompt.is_prompt", Value: "true"}
		w.create("hello", mark, registry.Tag{Key: "a", Value: "b"})
		w.arrive("hello", "", mark, registry.Tag{Key: "mlflow.prompt.text", Value: "Hello {{name}}"})
		w.must(w.SetTag(ctx, "p", "hello", 0, registry.Tag{Key: "c", Value: "d"}))
		w.create("model")
		w.must(w.SetTag(ctx, "p", "model", 0, registry.Tag{Key: "c", Value: "d"})) // of which nobody is told
		_, err = s.Deliver(t.Context())
		w.must(err)
		var got []map[string]any
		for _, m := range r.take() {
			m.data["what"] = m.what
			got = append(got, m.data)
		}
		want := []map[string]any{
			{"what": "prompt.created", "name": "hello", "description": "about hello", "tags": map[string]any{"a": "b"}},
			{"what": "prompt_version.created", "name": "hello", "version": "1", "template": "Hello {{name}}", "tags": map[string]any{}, "description": nil},
			{"what": "prompt_tag.set", "name": "hello", "key": "c", "value": "d"},
			{"what": "registered_model.created", "name": "model", "description": "about model", "tags": map[string]any{}},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if list, err := w.List(ctx, "p"); err != nil || len(list) != 1 || list[0].Name != "model" {
			t.Errorf("models: %+v, %v", list, err)
		}
	})
}

// TestWebhooksStayOutside refuses addresses inside, when they are written down
// and again when they are connected to.
func TestWebhooksStayOutside(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := w.ctx(slipway.Writer)
		strict := registry.New(registry.Options{DB: w.db, Content: w.content, Applied: w, Rows: w, Webhook: registry.WebhookOptions{Key: []byte("k")}})
		topics := []registry.Topic{registry.VersionCreated}
		for _, address := range []string{"", "  ", "ftp://example.com", "http://example.com", "https://", "http://[x", "https://127.0.0.1/a", "https://localhost",
			"https://10.1.2.3", "https://169.254.169.254/latest", "https://[::1]", "https://[::ffff:10.0.0.1]", "https://[64:ff9b::a00:1]", "https://0.0.0.0",
			"https://100.64.0.1", "https://[fd00::1]", "https://224.0.0.1"} {
			if _, err := strict.CreateWebhook(ctx, "p", registry.WebhookChange{Name: text("a"), URL: &address, Topic: topics}); !slipway.IsCode(err, slipway.Invalid) {
				t.Errorf("%q: %v", address, err)
			}
		}
		for _, c := range []registry.WebhookChange{{Name: text("-a"), Topic: topics}, {Name: text("a b"), Topic: topics}, {Name: text("a")}, {Name: text("a"), Topic: []registry.Topic{"x.y"}}} {
			c.URL = text("https://8.8.8.8")
			if _, err := strict.CreateWebhook(ctx, "p", c); !slipway.IsCode(err, slipway.Invalid) {
				t.Errorf("%+v: %v", c, err)
			}
		}
		r := newReceiver(t, "")
		hook, err := w.server("k", clock.Wall{}).CreateWebhook(ctx, "p", registry.WebhookChange{Name: text("in"), URL: &r.URL, Topic: topics})
		w.must(err)
		if tried, err := strict.TryWebhook(ctx, "p", hook.ID, ""); err != nil || tried.Error == "" || len(r.take()) != 0 {
			t.Errorf("a name that stands for this machine by now: %+v, %v", tried, err)
		}
	})
}
