package registry

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/slipway-ml/slipway"
)

const (
	patience   = 15 * time.Second // for a receiver to answer
	claim      = 30 * time.Second // after which an attempt counts as lost with its process
	firstRetry = 2 * time.Second
	lastRetry  = 30 * time.Minute
	attempts   = 20               // after which a message is given up: about eight hours
	idle       = 30 * time.Second // between looks at the outbox when nothing rings
	maxAnswer  = 64 << 10         // bytes of a receiver's answer that are read
)

// message is one message of the outbox.
type message struct {
	number   int64
	id       string // the same at every attempt
	body     []byte
	attempts int
	next     time.Time
	webhook  Webhook
}

// ring wakes the loop that sends messages.
func (s *Service) ring() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Loop sends messages until ctx ends.
func (s *Service) Loop(ctx context.Context) error {
	for {
		next, err := s.Deliver(ctx)
		if err != nil && ctx.Err() == nil {
			slog.ErrorContext(ctx, "webhooks cannot be told", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.wake:
		case <-s.o.Webhook.Clock.After(next):
		}
	}
}

// Deliver tries every message that is due once, those of one webhook in turn
// and webhooks side by side, and returns in how long to look again. A message
// is sent at least once; its id is the same when it is sent again.
func (s *Service) Deliver(ctx context.Context) (time.Duration, error) {
	due, err := s.due(ctx, s.o.Webhook.Clock.Now())
	if err != nil {
		return idle, err
	}
	lanes := map[string][]message{}
	for _, m := range due {
		lanes[m.webhook.ID] = append(lanes[m.webhook.ID], m)
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	next := time.Duration(idle)
	for _, lane := range lanes {
		group.Go(func() {
			for _, m := range lane {
				again, err := s.attempt(ctx, m)
				mu.Lock()
				errs = append(errs, err)
				if again > 0 {
					next = min(next, again)
				}
				mu.Unlock()
				if again > 0 || err != nil {
					return // those behind it wait, so that they arrive in order
				}
			}
		})
	}
	group.Wait()
	return max(next, time.Second), errors.Join(errs...)
}

// attempt sends a message and writes down how that went. again is when to try
// it next, 0 for never.
func (s *Service) attempt(ctx context.Context, m message) (again time.Duration, err error) {
	mine, err := s.claim(ctx, m, s.o.Webhook.Clock.Now().Add(claim))
	if err != nil || !mine {
		return 0, err
	}
	m.attempts++
	status, _, err := s.post(ctx, m.webhook, m.id, m.body)
	if ctx.Err() != nil {
		return 0, ctx.Err() // not the receiver's fault: the claim runs out
	}
	if err == nil && status >= 300 {
		err = slipway.Errorf(slipway.Unavailable, "it answered %d %s", status, http.StatusText(status))
		if status < 500 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout && status != http.StatusTooEarly {
			err = slipway.Errorf(slipway.Invalid, "it refused the message: %d %s", status, http.StatusText(status))
		}
	}
	switch {
	case err == nil:
		return 0, s.settle(ctx, m, "sent", "", time.Time{})
	case slipway.IsCode(err, slipway.Unavailable) && m.attempts < attempts:
		again = min(firstRetry<<min(m.attempts-1, 20), lastRetry)
		again = time.Duration(float64(again) * (0.8 + 0.4*rand.Float64()))
		return again, s.settle(ctx, m, "waiting", slipway.AsError(err).Message, s.o.Webhook.Clock.Now().Add(again))
	}
	return 0, s.settle(ctx, m, "failed", slipway.AsError(err).Message, time.Time{})
}

// envelope is the body of a message.
func envelope(t Topic, at time.Time, data map[string]any) ([]byte, error) {
	entity, action, _ := bytes.Cut([]byte(t), []byte("."))
	return json.Marshal(map[string]any{"entity": string(entity), "action": string(action), "timestamp": at.UTC().Format("2006-01-02T15:04:05.000000+00:00"), "data": data})
}

// post sends a body once. The headers are MLflow's: the signature is HMAC-SHA256
// over "id.timestamp.body", as Standard Webhooks has it.
func (s *Service) post(ctx context.Context, w Webhook, id string, body []byte) (status int, answer string, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	secret, err := s.o.Webhook.open(w.sealed)
	if err != nil {
		return 0, "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return 0, "", slipway.Errorf(slipway.Invalid, "%q is no address that can be posted to", w.URL)
	}
	at := strconv.FormatInt(s.o.Webhook.Clock.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "slipway")
	req.Header.Set("X-MLflow-Delivery-Id", id)
	req.Header.Set("X-MLflow-Timestamp", at)
	if secret != "" {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(id + "." + at + "."))
		mac.Write(body)
		req.Header.Set("X-MLflow-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	resp, err := s.o.Webhook.client.Do(req)
	if err != nil {
		if e := (&slipway.Error{}); errors.As(err, &e) {
			return 0, "", e
		}
		return 0, "", slipway.Errorf(slipway.Unavailable, "%s does not answer", req.URL.Host)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return 0, "", slipway.Errorf(slipway.Unavailable, "%s broke off its answer", req.URL.Host)
	}
	return resp.StatusCode, string(text), nil
}

// Tried is how a trial message fared.
type Tried struct {
	Status int    // of the answer; 0 when there was none
	Answer string // the beginning of it
	Error  string // "" when there was an answer
}

// TryWebhook sends a made-up message about a topic, "" for the first one of the
// webhook, and waits for the answer. It fails with NotFound.
func (s *Service) TryWebhook(ctx context.Context, project, id string, t Topic) (Tried, error) {
	w, err := s.Webhook(ctx, project, id)
	if err != nil {
		return Tried{}, err
	}
	if t == "" {
		t = w.Topic[0]
	}
	if examples[t] == nil {
		return Tried{}, slipway.Errorf(slipway.Invalid, "Invalid webhook event '%s'", t)
	}
	body, err := envelope(t, s.o.Webhook.Clock.Now(), examples[t])
	if err != nil {
		return Tried{}, err
	}
	status, answer, err := s.post(ctx, w, uuid.NewString(), body)
	if err != nil {
		return Tried{Error: "Failed to test webhook: " + slipway.AsError(err).Message}, nil
	}
	return Tried{Status: status, Answer: answer}, nil
}

// webhookClient connects to public addresses only, unless private ones are
// allowed. The address is looked at when the connection is made, so that a name
// cannot stand for another one by then; redirects are not followed, and a proxy
// would hide whom we talk to.
func webhookClient(private bool) *http.Client {
	dial := &net.Dialer{Timeout: patience}
	if !private {
		dial.Control = func(_, address string, _ syscall.RawConn) error {
			host, _, err := net.SplitHostPort(address)
			if err != nil {
				return err
			}
			ip, err := netip.ParseAddr(host)
			if err != nil {
				return err
			}
			return checkAddress(ip)
		}
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial.DialContext, TLSHandshakeTimeout: patience, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// checkHost refuses a name that stands for an address that is not public.
func checkHost(ctx context.Context, host string) error {
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil // it may be there when there is something to say
	}
	for _, ip := range found {
		if err := checkAddress(ip); err != nil {
			return err
		}
	}
	return nil
}

// notPublic are ranges that netip has no word for: shared address space,
// protocol assignments, documentation, benchmarks, reserved, and the forms in
// which IPv6 carries an IPv4 address.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("100::/64"), netip.MustParsePrefix("2001::/23"),
	netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"),
}

func checkAddress(ip netip.Addr) error {
	ip = ip.Unmap()
	public := ip.IsGlobalUnicast() && !ip.IsPrivate()
	for _, p := range notPublic {
		public = public && !p.Contains(ip)
	}
	if !public {
		return slipway.Errorf(slipway.Invalid, "Webhook URL must not resolve to a non-public IP address: %s", ip).
			WithHint("SLIPWAY_WEBHOOKS=any lets the server send to it")
	}
	return nil
}
