package plan_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/pipeline/plan"
)

var update = flag.Bool("update", false, "write the golden files again")

// hostile names and classes must not break out of their labels.
var hostile = []plan.Capsule{
	detector("x\"]; y[label=\"", cls("a\"b", "<script>", "c|d", "line\nbreak", "--> e")),
	detector("x2", cls("back\\slash", "%%{init}%%", "#quot;", "esc\x1b[31m")),
	capsule("end", all(cls("<script>", "a\"b", "line\nbreak", "c|d", "back\\slash", "%%{init}%%", "#quot;", "--> e", "esc\x1b[31m")), all(cls("z"))),
	capsule("subgraph", single(cls("nothing \"such\"\n")), single(nil, trk)),
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for name, capsules := range map[string][]plan.Capsule{
		"empty":   nil,
		"stuck":   {speed, faceEncoder},
		"faces":   planCases["PL6"].capsules,
		"streets": {pvb, tracker, speed, color, gait, faceEncoder, fromEncoding, helmetA, helmetB},
		"hostile": hostile,
	} {
		p := mustMake(t, capsules)
		js, err := json.MarshalIndent(p, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		for ext, got := range map[string]string{"txt": p.Text(), "mmd": p.Mermaid(), "dot": p.DOT(), "json": string(js) + "\n"} {
			path := filepath.Join("testdata", name+"."+ext)
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil || got != string(want) {
				t.Errorf("%s: %v, got\n%s", path, err, got)
			}
		}
	}
}

func TestHostileNamesStayInside(t *testing.T) {
	t.Parallel()
	p := mustMake(t, hostile)
	for line := range strings.SplitSeq(p.DOT(), "\n") {
		quotes := strings.Count(line, `"`) - strings.Count(strings.ReplaceAll(line, `\\`, ""), `\"`)
		if quotes%2 != 0 || strings.ContainsRune(line, 0x1b) {
			t.Errorf("DOT: %q", line)
		}
	}
	for line := range strings.SplitSeq(p.Mermaid(), "\n") {
		inner := line
		for _, own := range []string{"<br/>", "-->|", "-.->|"} {
			inner = strings.ReplaceAll(inner, own, "")
		}
		if strings.Count(inner, `"`)%2 != 0 || strings.ContainsAny(inner, "<>\\%\x1b") {
			t.Errorf("Mermaid: %q", line)
		}
	}
	if strings.ContainsRune(p.Text(), 0x1b) {
		t.Errorf("text: %q", p.Text())
	}
}
