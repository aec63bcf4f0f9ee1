package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// TestEveryFlagIsDocumented wants every flag of capstan run in docs/1-start.md.
func TestEveryFlagIsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "docs", "1-start.md"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	runCommand().Flags().VisitAll(func(f *pflag.Flag) {
		n++
		if f.Name != "help" && !strings.Contains(string(text), "`--"+f.Name) {
			t.Errorf("docs/1-start.md does not tell of --%s", f.Name)
		}
	})
	if n < 15 {
		t.Errorf("only %d flags were looked at", n)
	}
}

// TestEveryCommandHasAnExample wants an example and a sentence from every command that people see.
func TestEveryCommandHasAnExample(t *testing.T) {
	t.Parallel()
	for _, c := range rootCommand().Commands() {
		if c.Name() != "help" && c.Name() != "completion" && (c.Example == "" && !c.HasSubCommands() || c.Short == "") {
			t.Errorf("%s has no example or no sentence", c.CommandPath())
		}
	}
}
