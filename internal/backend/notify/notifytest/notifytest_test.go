package notifytest_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-ml/slipway/internal/backend/notify"
	"github.com/slipway-ml/slipway/internal/backend/notify/log"
	"github.com/slipway-ml/slipway/internal/backend/notify/notifytest"
	"github.com/slipway-ml/slipway/internal/backend/notify/slack"
	"github.com/slipway-ml/slipway/internal/backend/notify/webhook"
)

// receiver is a server with three doors: one takes, one is busy, one refuses.
func receiver(t *testing.T, n notify.Notifier) notifytest.Variant {
	var mu sync.Mutex
	var taken []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/busy":
			w.WriteHeader(http.StatusTooManyRequests)
		case "/wrong":
			http.Redirect(w, r, "/", http.StatusTemporaryRedirect) // never followed
		default:
			mu.Lock()
			taken = append(taken, string(body))
			mu.Unlock()
		}
	}))
	t.Cleanup(s.Close)
	return notifytest.Variant{Notifier: n, Target: s.URL, Busy: s.URL + "/busy", Wrong: s.URL + "/wrong",
		Taken: func() []string { mu.Lock(); defer mu.Unlock(); return taken }}
}

func TestWebhook(t *testing.T) {
	notifytest.Run(t, func(t *testing.T) notifytest.Variant { return receiver(t, webhook.New(nil)) })
}

func TestSlack(t *testing.T) {
	notifytest.Run(t, func(t *testing.T) notifytest.Variant { return receiver(t, slack.New(nil)) })
	v := receiver(t, slack.New(nil))
	if err := v.Notifier.Send(t.Context(), v.Target, notifytest.Message()); err != nil {
		t.Fatal(err)
	}
	if text := v.Taken()[0]; !strings.Contains(text, `\u0026lt;usually 2 h\u0026gt;`) {
		t.Errorf("Slack's characters are not escaped: %s", text)
	}
}

func TestLog(t *testing.T) {
	notifytest.Run(t, func(*testing.T) notifytest.Variant {
		var b bytes.Buffer
		return notifytest.Variant{Notifier: log.New(slog.New(slog.NewTextHandler(&b, nil))), Target: "alerts",
			Taken: func() []string {
				if b.Len() == 0 {
					return nil
				}
				return []string{b.String()}
			}}
	})
}

func TestNobodyListens(t *testing.T) {
	v := receiver(t, webhook.New(nil))
	s := httptest.NewServer(nil)
	s.Close()
	v.Busy, v.Wrong = s.URL+"/secret", "ftp://example.org/secret"
	notifytest.Run(t, func(t *testing.T) notifytest.Variant {
		fresh := receiver(t, webhook.New(nil))
		fresh.Busy, fresh.Wrong = v.Busy, v.Wrong
		return fresh
	})
}
