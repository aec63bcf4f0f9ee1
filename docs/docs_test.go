package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// markdown gives every document of the repository: README and docs, capsules and examples.
func markdown(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "bin" || d.Name() == "out") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".md") {
			files = append(files, path)
		}
		return nil
	})
	if err != nil || len(files) < 5 {
		t.Fatalf("found %d documents (%v)", len(files), err)
	}
	return files
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinks follows every link of the documents that stays in the repository.
func TestLinks(t *testing.T) {
	t.Parallel()
	for _, file := range markdown(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if target == "" || strings.Contains(target, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), target)); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", file, m[1])
			}
		}
	}
}

func TestReadmeIsShort(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "\n"); n >= 80 {
		t.Errorf("README.md has %d lines, want under 80", n)
	}
	first := strings.Join(strings.Split(string(text), "\n")[:40], "\n")
	for _, want := range []string{"make run", "make test", ".svg"} {
		if !strings.Contains(first, want) {
			t.Errorf("the first screen of README.md does not show %q", want)
		}
	}
}

// TestEveryCapsuleIsDocumented wants a README with every option of the manifest in it.
func TestEveryCapsuleIsDocumented(t *testing.T) {
	t.Parallel()
	manifests, err := filepath.Glob("../capsules/*/capsule.yaml")
	if err != nil || len(manifests) == 0 {
		t.Fatalf("no capsules found (%v)", err)
	}
	option := regexp.MustCompile(`(?m)^  ([a-z_0-9]+):$`)
	for _, m := range manifests {
		manifest, err := os.ReadFile(m)
		if err != nil {
			t.Fatal(err)
		}
		readme, err := os.ReadFile(filepath.Join(filepath.Dir(m), "README.md"))
		if err != nil {
			t.Error(err)
			continue
		}
		_, options, _ := strings.Cut(string(manifest), "\noptions:\n")
		for _, o := range option.FindAllStringSubmatch(options, -1) {
			if !strings.Contains(string(readme), o[1]) {
				t.Errorf("%s: README.md does not name the option %s", filepath.Dir(m), o[1])
			}
		}
	}
}

func TestEveryPackageHasItsSentence(t *testing.T) {
	t.Parallel()
	sentence := regexp.MustCompile(`(?m)^// (Package|Command) `)
	folders := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, ".pb.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		dir := filepath.Dir(path)
		folders[dir] = folders[dir] || sentence.Match(text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, ok := range folders {
		if !ok {
			t.Errorf("%s: no file begins with a sentence about the package", dir)
		}
	}
}
