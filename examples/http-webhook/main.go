// Command http-webhook has a running server (capstan serve) tell it of alerts: it makes itself a
// destination, checks the signature of what comes, and prints each event once. At the end it takes
// the destination away.
//
//	export CAPSTAN=http://127.0.0.1:8080 PASSWORD=…   # of admin; or TOKEN=cap_…
//	go run ./examples/http-webhook -listen 127.0.0.1:9000 -events alert,stream
package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:9000", "where webhooks are taken")
	url := flag.String("url", "", "how the server reaches it; by itself http:// and the address")
	kinds := flag.String("events", "alert", "what to be told of: alert, stream, detection, or one type such as alert.began")
	most := flag.Int("n", 0, "end after so many events; 0: on Ctrl-C")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := receive(ctx, os.Stdout, *listen, *url, strings.Split(*kinds, ","), *most); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// receive makes the destination, has it tried by a test event, and prints what is told.
func receive(ctx context.Context, out io.Writer, listen, url string, kinds []string, most int) (err error) {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	var hook struct {
		ID     int64
		Secret string
	}
	in := map[string]any{"name": "http-webhook " + l.Addr().String(), "kind": "webhook", "url": cmp.Or(url, "http://"+l.Addr().String()), "events": kinds}
	if err := call(ctx, "POST", "/destinations", in, &hook); err != nil {
		return errors.Join(err, l.Close())
	}
	path := fmt.Sprintf("/destinations/%d", hook.ID)
	defer func() { err = errors.Join(err, call(context.WithoutCancel(ctx), "DELETE", path, nil, nil)) }()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(hook.Secret, "whsec_"))
	if err != nil {
		return errors.Join(err, l.Close())
	}
	told := make(chan []byte)
	server := &http.Server{Handler: handler(ctx, key, told), ReadTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	tried := make(chan error, 1) // the test comes while we listen
	go func() { tried <- call(ctx, "POST", path+"/test", nil, nil) }()
	had := map[string]bool{} // a program that runs for long forgets the oldest
	for n := 0; most == 0 || n < most; {
		select {
		case <-ctx.Done():
			return nil
		case err := <-tried:
			if err != nil {
				return err
			}
		case body := <-told:
			var event struct{ ID, Type, Subject, Time string }
			if err := json.Unmarshal(body, &event); err != nil || had[event.ID] {
				continue // told again: at least once is what is promised
			}
			had[event.ID] = true
			n++
			fmt.Fprintln(out, event.Time, event.Type, event.Subject)
		}
	}
	return nil
}

// handler gives the bodies of webhooks that are signed with key and not older than five minutes.
func handler(ctx context.Context, key []byte, told chan<- []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil || !signed(key, r.Header, body) {
			http.Error(w, "the signature is not mine", http.StatusUnauthorized)
			return
		}
		select {
		case told <- body: // the answer says that it was taken, so it comes after
			w.WriteHeader(http.StatusNoContent)
		case <-ctx.Done():
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
}

func signed(key []byte, h http.Header, body []byte) bool {
	at, err := strconv.ParseInt(h.Get("webhook-timestamp"), 10, 64)
	if err != nil || math.Abs(time.Since(time.Unix(at, 0)).Seconds()) > 300 {
		return false
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", h.Get("webhook-id"), h.Get("webhook-timestamp"), body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for _, s := range strings.Fields(h.Get("webhook-signature")) {
		if hmac.Equal([]byte(s), []byte(want)) {
			return true
		}
	}
	return false
}

// call asks the server and reads the answer, JSON both, into out unless that is nil.
func call(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	answer, err := ask(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if out == nil {
		return nil
	}
	return json.NewDecoder(answer.Body).Decode(out)
}

// ask sends a request. What the server refuses is an error that says why and what to do.
func ask(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, cmp.Or(os.Getenv("CAPSTAN"), "http://127.0.0.1:8080")+"/capstan/v1"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if token := os.Getenv("TOKEN"); token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	} else {
		r.SetBasicAuth("admin", os.Getenv("PASSWORD"))
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil || answer.StatusCode < 400 {
		return answer, err
	}
	defer answer.Body.Close()
	var problem struct{ Detail, Hint string }
	_ = json.NewDecoder(answer.Body).Decode(&problem)
	return nil, fmt.Errorf("%s %s: %s: %s %s", method, path, answer.Status, problem.Detail, problem.Hint)
}
