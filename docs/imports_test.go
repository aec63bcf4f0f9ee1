// Package docs holds the documents, and the tests that hold the code and the documents together.
package docs

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/capstan-video/capstan/"

// may says which folders of the top level a folder may import. A name is looked up by its
// longest prefix.
var may = map[string][]string{
	"core":                       {"core"},
	"sdk":                        {"core", "sdk"},
	"capsules":                   {"sdk"},
	"pipeline":                   {"core", "sdk", "pipeline"},
	"server":                     {"core", "sdk", "pipeline", "server"},
	"examples":                   {"core", "sdk", "pipeline"},
	"docs":                       {},
	"server/cmd/capstan":         {"core", "sdk", "pipeline", "server"},
	"sdk/manifest":               {"core"},
	"sdk/wire":                   {"core", "sdk/wire"},
	"pipeline/plan":              {"core"},
	"pipeline/gstreamer":         {"core", "sdk/wire", "pipeline"},
	"pipeline/gstreamer/gsttest": {"core", "pipeline"},
}

type goPackage struct {
	ImportPath string
	Imports    []string
	CgoFiles   []string
	Standard   bool
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports,CgoFiles,Standard", "./...")
	cmd.Dir = ".."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var list []goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

// ours gives the path of a package inside the module.
func ours(importPath string) (string, bool) { return strings.CutPrefix(importPath, module) }

func allowed(pkg string) []string {
	for p := pkg; ; {
		if list, ok := may[p]; ok {
			return list
		}
		i := strings.LastIndex(p, "/")
		if i < 0 {
			return nil
		}
		p = p[:i]
	}
}

func under(pkg, folder string) bool { return pkg == folder || strings.HasPrefix(pkg, folder+"/") }

// TestImportsPointDown fails on an arrow that points up, so that nobody needs to remember them.
func TestImportsPointDown(t *testing.T) {
	t.Parallel()
	packages := listPackages(t)
	standard := map[string]bool{"C": true}
	for _, p := range packages {
		standard[p.ImportPath] = p.Standard
	}
	seen := 0
	for _, p := range packages {
		from, ok := ours(p.ImportPath)
		if !ok {
			continue
		}
		seen++
		for _, imp := range p.Imports {
			to, ok := ours(imp)
			if !ok {
				if under(from, "core") && !standard[imp] {
					t.Errorf("%s imports %s: core imports the standard library only", from, imp)
				}
				continue
			}
			if !under(to, from) && !slices.ContainsFunc(allowed(from), func(f string) bool { return under(to, f) }) {
				t.Errorf("%s imports %s: it may import %v only", from, to, allowed(from))
			}
		}
	}
	if seen < 10 {
		t.Fatalf("only %d packages were looked at", seen)
	}
}

// TestCgoLivesInOneFolder keeps every other package free of C.
func TestCgoLivesInOneFolder(t *testing.T) {
	t.Parallel()
	found := false
	for _, p := range listPackages(t) {
		from, ok := ours(p.ImportPath)
		if !ok || len(p.CgoFiles) == 0 {
			continue
		}
		if found = true; !under(from, "pipeline/gstreamer") {
			t.Errorf("%s uses cgo (%v): only pipeline/gstreamer may", from, p.CgoFiles)
		}
	}
	if !found {
		t.Error("no package uses cgo: the test looks in the wrong place")
	}
}
