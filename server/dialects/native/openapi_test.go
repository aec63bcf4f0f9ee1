package native

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// TestDocument holds the committed document against the code, and against OpenAPI 3.1.
func TestDocument(t *testing.T) {
	t.Parallel()
	text, err := Document()
	if err != nil {
		t.Fatal(err)
	}
	committed, err := os.ReadFile("../../../docs/reference/openapi.json")
	if err != nil || !bytes.Equal(text, committed) {
		t.Errorf("docs/reference/openapi.json is not what the code says (%v): run make generate", err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	for _, r := range (&api{}).routes() {
		op := doc.Paths.Value(Base + r.path).GetOperation(r.method)
		if op == nil || op.Summary == "" || op.OperationID == "" {
			t.Fatalf("%s %s is not told", r.method, r.path)
		}
		for _, name := range strings.Split(r.path, "/") {
			if name, ok := strings.CutPrefix(name, "{"); ok && op.Parameters.GetByInAndName("path", strings.TrimSuffix(name, "}")) == nil {
				t.Errorf("%s %s does not tell of %s", r.method, r.path, name)
			}
		}
	}
}
