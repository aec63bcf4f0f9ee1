package native

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// TestPage holds the page against its own policy: it is well formed, loads only its own files, and
// has every element that its program asks for.
func TestPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{Others: map[string]func() ([]byte, error){"other": func() ([]byte, error) { return []byte(`{}`), nil }}})
	a := w.ask("GET", "/docs", nil, "-")
	policy := a.Header().Get("Content-Security-Policy")
	if a.Code != 200 || !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || !strings.HasPrefix(a.Header().Get("Content-Type"), "text/html") {
		t.Fatalf("%d %v", a.Code, a.Header())
	}
	ids, labelled := map[string]bool{}, 0
	root, err := html.Parse(strings.NewReader(a.Body.String()))
	if err != nil {
		t.Fatal(err)
	}
	for n := range root.Descendants() {
		for _, at := range n.Attr {
			switch {
			case at.Key == "id":
				ids[at.Val] = true
			case strings.HasPrefix(at.Key, "on"), at.Key == "style":
				t.Errorf("<%s %s>: the policy refuses it", n.Data, at.Key)
			case at.Key == "src" || at.Key == "href" && !strings.HasPrefix(at.Val, "#"):
				path, ok := strings.CutPrefix(at.Val, Base)
				if got := w.ask("GET", path, nil, "-"); !ok || got.Code != 200 || got.Body.Len() == 0 {
					t.Errorf("%s: %d", at.Val, got.Code)
				}
			case at.Key == "lang" && n.Data == "html":
				labelled++
			}
		}
		if n.Data == "script" && n.FirstChild != nil || n.Data == "input" && n.Parent.Data != "label" {
			t.Errorf("<%s> stands by itself", n.Data)
		}
	}
	program, err := os.ReadFile("docs/docs.js")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`byId\("([a-z-]+)"\)`).FindAllSubmatch(program, -1) {
		if !ids[string(m[1])] {
			t.Errorf("the page has no element %q", m[1])
		}
	}
	if labelled != 1 || regexp.MustCompile(`innerHTML|eval\(|https?://`).Match(program) {
		t.Error("the page names no language, or its program reads text as HTML or asks others")
	}
	for path, status := range map[string]int{"/docs/openapi.go": 404, "/docs/..%2fnative.go": 404, "/openapi.json": 200, "/openapi/other": 200, "/openapi/none": 404} {
		if got := w.send("GET", path, ""); got.Code != status {
			t.Errorf("%s: %d", path, got.Code)
		}
	}
}
