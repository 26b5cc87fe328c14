package notify

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/slipway-ml/slipway"
)

// patience is how long a receiver has to answer.
const patience = 10 * time.Second

// Client follows no redirect: an address that moved is to be corrected where
// it is written, and a receiver shall not send us to another one.
func Client() *http.Client {
	return &http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Post sends a body of JSON and reads the answer's status: 2xx is done, 408,
// 425, 429 and 5xx are Unavailable, all else is Invalid.
func Post(ctx context.Context, client *http.Client, target string, body []byte) error {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return slipway.Errorf(slipway.Invalid, "the target of the alert is not an http or https address")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return slipway.Errorf(slipway.Invalid, "the target of the alert is not an address that can be posted to")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "slipway")
	resp, err := client.Do(req)
	if err != nil {
		// The text of err holds the address, and the address may be a secret.
		return slipway.Errorf(slipway.Unavailable, "%s does not answer", u.Host)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection is used again
	switch s := resp.StatusCode; {
	case s < 300:
		return nil
	case s >= 500 || s == http.StatusTooManyRequests || s == http.StatusRequestTimeout || s == http.StatusTooEarly:
		return slipway.Errorf(slipway.Unavailable, "%s answered %s", u.Host, resp.Status)
	}
	return slipway.Errorf(slipway.Invalid, "%s refused the alert: %s", u.Host, resp.Status)
}
