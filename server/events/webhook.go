package events

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/capstan-video/capstan/core"
)

// The headers of a webhook, which are those of Standard Webhooks.
const (
	HeaderID        = "Webhook-Id"        // the event's: the same in each attempt
	HeaderTimestamp = "Webhook-Timestamp" // of the attempt, in seconds since 1970
	HeaderSignature = "Webhook-Signature" // "v1," and base64, one for each key, apart by spaces
)

const (
	contentType = "application/cloudevents+json; charset=utf-8"
	// maxAnswer is how much of an answer is read, so that the connection can be used again.
	maxAnswer = 64 << 10
	// longestWait is the longest that a Retry-After is followed.
	longestWait = time.Hour
)

// Sign gives the signature of a webhook's body: HMAC-SHA256 over "id.timestamp.body" by each key of
// the secret. It fails as Invalid on "destination" for a secret that is none.
func Sign(secret, id string, at time.Time, body []byte) (string, error) {
	list, err := keys(secret)
	if err != nil {
		return "", err
	}
	var out []string
	for _, key := range list {
		out = append(out, "v1,"+base64.StdEncoding.EncodeToString(sum(key, id, strconv.FormatInt(at.Unix(), 10), body)))
	}
	return strings.Join(out, " "), nil
}

func sum(key []byte, id, at string, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.", id, at)
	mac.Write(body)
	return mac.Sum(nil)
}

// Verify says whether a webhook's body was signed with the secret not longer ago, by the clock now,
// than tolerance: Denied on "signature" if not. It is what a receiver does.
func Verify(secret string, h http.Header, body []byte, now time.Time, tolerance time.Duration) error {
	denied := func(why string) error { return core.Faultf(core.Denied, "webhook", "signature", "%s", why) }
	list, err := keys(secret)
	if err != nil {
		return err
	}
	at := h.Get(HeaderTimestamp)
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return denied("the time is no number")
	}
	if apart := now.Sub(time.Unix(seconds, 0)); apart > tolerance || apart < -tolerance {
		return denied("it is not of now")
	}
	for _, each := range strings.Fields(h.Get(HeaderSignature)) {
		text, ok := strings.CutPrefix(each, "v1,")
		given, err := base64.StdEncoding.DecodeString(text)
		for _, key := range list {
			if ok && err == nil && hmac.Equal(given, sum(key, h.Get(HeaderID), at, body)) {
				return nil
			}
		}
	}
	return denied("it is not that of the body")
}

// webhook posts messages.
type webhook struct {
	target
	client *http.Client
}

func newWebhook(t target, roots *x509.CertPool) (sink, error) {
	if _, err := keys(t.Secret); err != nil && t.Secret != "" {
		return nil, err
	}
	return &webhook{target: t, client: t.guard.Client(roots, t.atOnce)}, nil
}

func (w *webhook) close() { w.client.CloseIdleConnections() }

func (w *webhook) send(ctx context.Context, m *message) error {
	now := time.Now()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(m.body))
	if err != nil {
		return plain(err)
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("User-Agent", "capstan")
	request.Header.Set(HeaderID, m.key)
	request.Header.Set(HeaderTimestamp, strconv.FormatInt(now.Unix(), 10))
	if w.Secret != "" {
		signature, err := Sign(w.Secret, m.key, now, m.body)
		if err != nil {
			return err
		}
		request.Header.Set(HeaderSignature, signature)
	}
	answer, err := w.client.Do(request)
	if err != nil {
		return plain(err)
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, maxAnswer) // what it says does not matter
	return judge(answer, now)
}

// judge says what an answer means.
func judge(answer *http.Response, now time.Time) error {
	code := answer.StatusCode
	if code >= 200 && code < 300 {
		return nil
	}
	r := &refusal{err: fmt.Errorf("the webhook answered %d %s", code, http.StatusText(code))}
	switch code {
	case http.StatusGone:
		r.gone = true
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		r.after = retryAfter(answer.Header.Get("Retry-After"), now)
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		r.never = true
	}
	return r
}

// retryAfter reads a number of seconds or a date; 0 when it is neither.
func retryAfter(text string, now time.Time) time.Duration {
	var d time.Duration
	if n, err := strconv.ParseUint(text, 10, 32); err == nil {
		d = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), longestWait)
}
