package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// bodies are what no route takes as it is, and some that a few do.
var bodies = []string{
	``, `null`, `true`, `0`, `-1`, `1e400`, `18446744073709551616`, `"x"`, `"\ud800"`, "\"\xff\xfe\"", `[]`, `{}`, `[null]`, `{"id":1e300}`, `{"id":"x","name":[]}`,
	strings.Repeat(`[`, 100_000), strings.Repeat(`{"a":`, 5_000) + `1` + strings.Repeat(`}`, 5_000), `"` + strings.Repeat("x", 100_000) + `"`, `NaN`, `{"a":1`, "\x00",
	`{"id":null,"name":null,"stream_id":99999999999,"coords":[[1e308,-1e308],[0,0]],"alarms":{},"metadata":[],"connection_type":7,"username":{},"vector":["x"]}`,
	`{"id":9223372036854775807,"name":"\u0000","role":"king","unique_name":"","storage_id":-1,"class_name":null,"options":{"half":1e99}}`,
}

// ids stand in for what is in a path.
var ids = []string{"1", "0", "-1", "x", "1.5", "9223372036854775808", "99999999999999999999999", "%00", "%FF", "a%20b", "%2e%2e", strings.Repeat("9", 2000)}

var queries = []string{"", "limit=-1", "limit=99999999999999999999&offset=x", "stream_id=%00&x=%ff", "a=%zz", "sort_by=nothing:desc", "cursor=x&limit=1e9"}

var inPath = regexp.MustCompile(`\{[^}]*\}`)

// endless are answers without an end, and what would take the administrator's session away.
var endless = regexp.MustCompile(`/statuses$|/results$|/events$|/session$`)

// route is one of the server's, as its documents have it.
type route struct{ method, path string }

// routes reads the server's own documents.
func (c *client) routes(ctx context.Context) ([]route, error) {
	var out []route
	for _, document := range []string{"/capstan/v1/openapi.json", "/capstan/v1/openapi/brainframe"} {
		var d struct {
			Servers []struct{ URL string }
			Paths   map[string]map[string]json.RawMessage
		}
		if err := c.call(ctx, "GET", document, nil, &d); err != nil {
			return nil, err
		}
		for path, operations := range d.Paths {
			for method := range operations {
				if len(d.Servers) > 0 && strings.HasPrefix(d.Servers[0].URL, "/") && !strings.HasPrefix(path, d.Servers[0].URL) {
					path = strings.TrimSuffix(d.Servers[0].URL, "/") + path
				}
				if m := strings.ToUpper(method); !endless.MatchString(path) && slices.Contains([]string{"GET", "POST", "PUT", "PATCH", "DELETE"}, m) {
					out = append(out, route{m, path})
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b route) int { return strings.Compare(a.path+a.method, b.path+b.method) })
	return out, nil
}

// nonsense sends every route of the server what it does not take: the fault is the caller's, and is
// said as the contracts want it.
func (r *rig) nonsense(ctx context.Context) error {
	p, err := r.serve(ctx, filepath.Join(r.dir, "nonsense"))
	if err != nil {
		return err
	}
	n, err := p.watched(ctx, "steady", "test://?pattern=black&size=160x120&fps=10&live=true")
	if err != nil {
		return errors.Join(err, p.kill())
	}
	list, err := p.routes(ctx)
	if err != nil || len(list) < 100 {
		return errors.Join(fmt.Errorf("the server's documents have %d routes", len(list)), err, p.kill())
	}
	sent, wrong := 0, 0
	for i, at := range list {
		for _, t := range r.tries(at) {
			if at.method == "DELETE" && t.method == "DELETE" && strings.HasSuffix(t.path, "/1") {
				continue // it would be done
			}
			sent++
			if err := p.refuses(ctx, t); err != nil {
				if wrong++; wrong < 20 {
					r.fail("nonsense", "%w", err)
				}
			}
		}
		if i%40 == 0 {
			r.say("route %d of %d", i, len(list))
		}
	}
	r.note("nonsense", "sent", "%d requests to %d routes", sent, len(list))
	if text := p.log.String(); strings.Contains(text, "panic") {
		r.fail("nonsense", "the log has a panic: %s", text[strings.Index(text, "panic"):])
	}
	if err := p.call(ctx, "GET", "/api/version", nil, nil); err != nil {
		r.fail("nonsense", "%w", err)
	}
	if _, err := p.state(ctx, n); err != nil {
		r.fail("nonsense", "the stream that was there: %w", err)
	}
	return p.stop()
}

// try is a request.
type try struct{ method, path, query, body string }

// tries gives what is sent to a route: each body, ID, query and method, one after the other.
func (r *rig) tries(at route) (out []try) {
	path := inPath.ReplaceAllString(at.path, "1")
	if at.method != "GET" && at.method != "DELETE" {
		for _, b := range bodies {
			out = append(out, try{at.method, path, "", b})
		}
	}
	for _, id := range ids {
		if odd := inPath.ReplaceAllString(at.path, id); odd != at.path && at.method != "DELETE" || odd != path {
			out = append(out, try{at.method, odd, "", `{}`})
		}
	}
	if at.method == "GET" {
		for _, q := range queries {
			out = append(out, try{at.method, path, q, ""})
		}
	}
	for _, m := range []string{"TRACE", "OPTIONS", "BREW", "PATCH", "HEAD"} {
		out = append(out, try{m, path, "", `{}`})
	}
	return out
}

// refuses sends a request and says what is wrong with the answer: a fault of the server's, or one
// whose body is not the contract's.
func (c *client) refuses(ctx context.Context, t try) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	u, err := url.Parse(c.url)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, t.method, c.url, bytes.NewReader([]byte(t.body)))
	if err != nil {
		return err
	}
	u.Opaque, u.RawQuery = "//"+u.Host+t.path, t.query
	request.URL = u
	for _, cookie := range c.http.Jar.Cookies(&url.URL{Scheme: "http", Host: u.Host, Path: "/"}) {
		request.AddCookie(cookie)
	}
	began := time.Now()
	w, err := c.http.Transport.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("%s %.80s: %w after %v", t.method, t.path, err, time.Since(began).Round(time.Millisecond))
	}
	defer w.Body.Close()
	text, err := io.ReadAll(w.Body)
	what := fmt.Sprintf("%s %.80s?%s %.60q: status %d %.200s", t.method, t.path, t.query, t.body, w.StatusCode, text)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	case w.StatusCode == http.StatusNotImplemented: // the contract's, for what there is not
	case w.StatusCode >= 500:
		return errors.New(what)
	case w.StatusCode >= 400 && t.method != "HEAD" && !says(t.path, w.StatusCode, text):
		return fmt.Errorf("%s: that is not the contract's body", what)
	}
	return nil
}

// says tells whether a body is what the contract of its path wants of a failure.
func says(path string, status int, text []byte) bool {
	var body struct {
		Title, Description, Detail, Error string
		Status                            int
	}
	err := json.Unmarshal(text, &body)
	switch {
	case err != nil:
		return false
	case strings.HasPrefix(path, "/api/"):
		return body.Title != "" && body.Description != ""
	case strings.HasPrefix(path, "/capstan/v1/"):
		return body.Title != "" && body.Detail != "" && body.Status == status
	}
	return body.Error != "" || body.Title != ""
}
