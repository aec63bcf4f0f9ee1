package models

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline/catalog"
)

func content(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*i + i>>8)
	}
	return b
}

func hashOf(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

func wanted(url string, b []byte) Wanted {
	return Wanted{Model: core.Model{File: "m.onnx", URL: url, SHA256: hashOf(b), Source: "somebody"}, Capsules: []string{"detector_x"}}
}

// server gives data as http.ServeContent does, ranges included, and notes the ranges asked for.
func server(t *testing.T, data []byte) (url string, ranges *[]string) {
	t.Helper()
	var mu sync.Mutex
	ranges = &[]string{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		*ranges = append(*ranges, r.Header.Get("Range"))
		mu.Unlock()
		http.ServeContent(w, r, "m.onnx", time.Time{}, bytes.NewReader(data))
	}))
	t.Cleanup(s.Close)
	return s.URL + "/m.onnx", ranges
}

// onlyFile wants the folder to hold m.onnx with this content and nothing else.
func onlyFile(t *testing.T, dir string, want []byte) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if want == nil && len(list) == 0 {
		return
	}
	if len(list) != 1 || list[0].Name() != "m.onnx" {
		t.Fatalf("the folder has %v", list)
	}
	got, err := os.ReadFile(filepath.Join(dir, "m.onnx"))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes (%v), want %d", len(got), err, len(want))
	}
}

func TestFetch(t *testing.T) {
	t.Parallel()
	data := content(300_000)
	url, ranges := server(t, data)
	dir := filepath.Join(t.TempDir(), "new", "models")
	var last, total int64
	f := Fetcher{Dir: dir, Progress: func(d, n int64) { last, total = d, n }}
	path, err := f.Fetch(t.Context(), wanted(url, data))
	if err != nil || path != filepath.Join(dir, "m.onnx") {
		t.Fatal(path, err)
	}
	onlyFile(t, dir, data)
	if last != int64(len(data)) || total != last {
		t.Errorf("progress ended at %d of %d", last, total)
	}
	if _, err := f.Fetch(t.Context(), wanted(url, data)); err != nil || len(*ranges) != 1 {
		t.Errorf("fetched again: %v, %d requests", err, len(*ranges))
	}
	onlyFile(t, dir, data)
}

func TestInterruptedFetchGoesOn(t *testing.T) {
	t.Parallel()
	data := content(500_000)
	url, ranges := server(t, data)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	f := Fetcher{Dir: dir, Progress: func(d, _ int64) {
		if d > 200_000 {
			cancel()
		}
	}}
	f.Client = &http.Client{Transport: slow{}}
	if _, err := f.Fetch(ctx, wanted(url, data)); core.KindOf(err) != core.Cancelled {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "m.onnx")); err == nil {
		t.Fatal("half a file is there under its name")
	}
	if _, err := (Fetcher{Dir: dir}).Fetch(t.Context(), wanted(url, data)); err != nil {
		t.Fatal(err)
	}
	onlyFile(t, dir, data)
	if n := len(*ranges); n != 2 || (*ranges)[0] != "" || !strings.HasPrefix((*ranges)[1], "bytes=") || (*ranges)[1] == "bytes=0-" {
		t.Errorf("ranges asked for: %q", *ranges)
	}
}

// slow gives bodies in small pieces, so that a transfer can be interrupted within.
type slow struct{}

func (slow) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		res.Body = pieces{res.Body}
	}
	return res, err
}

type pieces struct{ io.ReadCloser }

func (p pieces) Read(b []byte) (int, error) { return p.ReadCloser.Read(b[:min(len(b), 10_000)]) }

func TestWhatWasLeftIsJudged(t *testing.T) {
	t.Parallel()
	data := content(100_000)
	for name, c := range map[string]struct {
		part     []byte
		requests int
	}{
		"half":             {data[:50_000], 1},
		"whole":            {data, 2}, // nothing is left to ask for: from the beginning
		"longer":           {append(content(100_000), 1, 2, 3), 2},
		"other content":    {bytes.Repeat([]byte{7}, 50_000), 2},
		"one byte is left": {data[:99_999], 1},
	} {
		url, ranges := server(t, data)
		dir := t.TempDir()
		w := wanted(url, data)
		if err := os.WriteFile(filepath.Join(dir, ".m.onnx."+w.SHA256[:16]+".part"), c.part, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := (Fetcher{Dir: dir}).Fetch(t.Context(), w); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		onlyFile(t, dir, data)
		if len(*ranges) != c.requests {
			t.Errorf("%s: %d requests %q, want %d", name, len(*ranges), *ranges, c.requests)
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	data, good := content(1000), []byte("a good file of this name")
	handler := func(status int, body []byte, length int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if length > 0 {
				w.Header().Set("Content-Length", fmt.Sprint(length))
			}
			w.WriteHeader(status)
			_, _ = w.Write(body)
		}
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    []string
	}{
		"other content": {handler(200, content(999), 0), []string{"SHA-256", hashOf(content(999)), hashOf(data), "nothing was kept"}},
		"empty":         {handler(200, nil, 0), []string{"0 bytes"}},
		"not found":     {handler(404, nil, 0), []string{"404"}},
		"server error":  {handler(500, data, 0), []string{"500"}},
		"part unasked":  {handler(206, data, 0), []string{"206"}},
		"cut short":     {handler(200, data[:500], 1000), []string{"try again"}},
		"too long":      {handler(200, content(3000), 0), []string{"2000"}},
		"stalls": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write(data[:10])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, []string{"no byte came"}},
	} {
		s := httptest.NewServer(c.handler)
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "m.onnx"), good, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Fetcher{Dir: dir, Idle: 300 * time.Millisecond, Limit: 2000}.Fetch(t.Context(), wanted(s.URL, data))
		s.CloseClientConnections()
		s.Close()
		if err == nil {
			t.Errorf("%s: it was fetched", name)
			continue
		}
		for _, w := range append(c.want, "m.onnx") {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q is not in: %v", name, w, err)
			}
		}
		if got, _ := os.ReadFile(filepath.Join(dir, "m.onnx")); !bytes.Equal(got, good) {
			t.Errorf("%s: the file that was there is gone", name)
		}
	}
}

func TestURLs(t *testing.T) {
	t.Parallel()
	data := content(5000)
	from := t.TempDir()
	if err := os.MkdirAll(filepath.Join(from, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(from, "sub", "x.bin"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		"sub/x.bin": "", "./sub/x.bin": "", "file://" + from + "/sub/x.bin": "", "file://localhost" + from + "/sub/x.bin": "",
		"sub/none.bin": "no such file", "sub": "not a file", "file://elsewhere/x": "not http", "ftp://h/x": "not http",
		from + "/sub/x.bin": "not http", "": "names no URL", "http://127.0.0.1:1/x": "127.0.0.1:1",
	} {
		w := wanted(url, data)
		w.Dir = from
		dir := t.TempDir()
		_, err := Fetcher{Dir: dir}.Fetch(t.Context(), w)
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", url, err)
			}
			onlyFile(t, dir, data)
		} else if err == nil || !strings.Contains(err.Error(), want) || core.KindOf(err) == core.Unknown {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
}

func TestSeveralFetchTheSame(t *testing.T) {
	t.Parallel()
	data := content(200_000)
	url, _ := server(t, data)
	dir := t.TempDir()
	var wait sync.WaitGroup
	var failed atomic.Int32
	for range 8 {
		wait.Go(func() {
			if _, err := (Fetcher{Dir: dir, Client: &http.Client{Transport: slow{}}}).Fetch(t.Context(), wanted(url, data)); err != nil {
				t.Error(err)
				failed.Add(1)
			}
		})
	}
	wait.Wait()
	onlyFile(t, dir, data)
}

func TestNeeded(t *testing.T) {
	t.Parallel()
	entry := func(name string, models ...core.Model) catalog.Entry {
		return catalog.Entry{Declaration: core.Declaration{Name: name, Models: models}, Dir: "/c/" + name}
	}
	a, b := core.Model{File: "a.onnx", SHA256: "1"}, core.Model{File: "b.onnx", SHA256: "2"}
	all, err := Needed([]catalog.Entry{entry("z", b, a), entry("k", b), entry("none")})
	if err != nil || len(all) != 2 || all[0].File != "a.onnx" || strings.Join(all[1].Capsules, " ") != "k z" || all[1].Dir != "/c/z" {
		t.Fatalf("%+v, %v", all, err)
	}
	for names, want := range map[string]string{"": "a.onnx b.onnx", "k": "b.onnx", "z": "a.onnx b.onnx", "a.onnx": "a.onnx", "k,a.onnx": "a.onnx b.onnx"} {
		var list []string
		if names != "" {
			list = strings.Split(names, ",")
		}
		chosen, err := Choose(all, list)
		var got []string
		for _, w := range chosen {
			got = append(got, w.File)
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %v, %v", names, got, err)
		}
	}
	if _, err := Choose(all, []string{"a.onx"}); !errors.Is(err, &core.Fault{Kind: core.NotFound}) || !strings.Contains(err.Error(), "did you mean a.onnx") {
		t.Errorf("unknown: %v", err)
	}
	if _, err := Needed([]catalog.Entry{entry("x", a), entry("y", core.Model{File: "a.onnx", SHA256: "3"})}); core.KindOf(err) != core.Exists {
		t.Errorf("two files of one name: %v", err)
	}
}

func TestLook(t *testing.T) {
	cache, beside, given := t.TempDir(), t.TempDir(), t.TempDir()
	t.Setenv("CAPSTAN_CACHE", cache)
	t.Setenv("CAPSTAN_MODELS", "")
	data := content(100)
	w := wanted("", data)
	w.Dir = beside
	look := func(state State, path string) {
		t.Helper()
		f, err := w.Look([]string{given})
		if err != nil || f.State != state || f.Path != path {
			t.Errorf("%+v, %v; want %s at %s", f, err, state, path)
		}
	}
	put := func(path string, data []byte) string {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o644)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	look(Missing, "")
	look(Here, put(filepath.Join(cache, "models", "m.onnx"), data))
	look(Here, put(filepath.Join(beside, "models", "m.onnx"), data))
	look(Wrong, put(filepath.Join(given, "deep", "m.onnx"), data[:99]))
}

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 5-9/10", "bytes 0-0/*", "bytes */10", "", "bytes 9-5/4", "bytes -5-9/10", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		start, total, ok := contentRange(s)
		if ok && (start < 0 || (total >= 0 && total <= start)) {
			t.Errorf("%q: %d of %d", s, start, total)
		}
	})
}
