package brainframe

import (
	"bytes"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestDocument holds the committed document against the code, the routes and OpenAPI 3.1.
func TestDocument(t *testing.T) {
	t.Parallel()
	text, err := Document()
	if err != nil {
		t.Fatal(err)
	}
	committed, err := os.ReadFile("../../../docs/reference/openapi-brainframe.json")
	if err != nil || !bytes.Equal(text, committed) {
		t.Errorf("docs/reference/openapi-brainframe.json is not what the code says (%v): run make generate", err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err == nil {
		err = doc.Validate(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	all := described()
	for _, r := range handler(newWorld(), Options{}).(*gin.Engine).Routes() {
		if r.Method == "HEAD" {
			continue // as GET, without the body
		}
		route := r.Method + " " + strings.TrimPrefix(r.Path, "/api")
		if all[route].id == "" || all[route].summary == "" {
			t.Errorf("%s is not told", route)
		}
		delete(all, route)
	}
	for route := range all {
		t.Errorf("%s is told, and not there", route)
	}
}

// TestAnswersAreTold holds the answer of every route, and of every kind of error, against the
// document.
func TestAnswersAreTold(t *testing.T) {
	t.Parallel()
	text, err := Document()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, c := range calls() {
		for route, d := range described() {
			method, path, _ := strings.Cut(route, " ")
			if method != c.method || !fits("/api"+path, c.path) || strings.Contains(path, ":") && described()[method+" "+strings.TrimPrefix(c.path, "/api")].id != "" {
				continue
			}
			seen++
			w := serve(handler(furnished(t), Options{}), c.method, c.path, c.body)
			pointer := "openapi.json#/components/schemas/Failure"
			if w.Code < 400 {
				path = strings.NewReplacer(":id", "%7Bid%7D", ":name", "%7Bname%7D").Replace(path)
				pointer = "openapi.json#/paths/" + strings.ReplaceAll("/api"+path, "/", "~1") + "/" + strings.ToLower(method) + "/responses/200/content/application~1json/schema"
				if d.answer == nil {
					empty(t, c.name, d, w)
					continue
				}
			}
			s, err := compiler.Compile(pointer)
			if err != nil {
				t.Fatal(err)
			}
			v, err := jsonschema.UnmarshalJSON(bytes.NewReader(w.Body.Bytes()))
			if err == nil {
				err = s.Validate(v)
			}
			if err != nil {
				t.Errorf("%s: %v\n%s", c.name, err, w.Body)
			}
		}
	}
	if seen < 66 {
		t.Errorf("%d answers were looked at", seen)
	}
}

func empty(t *testing.T, name string, d told, w *httptest.ResponseRecorder) {
	t.Helper()
	if len(d.types) == 0 && w.Body.Len() > 0 {
		t.Errorf("%s: an answer that is not told: %s", name, w.Body)
	}
}
