package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWriteTableKeepsWhatOthersWrote(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "b.md")
	for _, c := range []struct{ before, want string }{
		{"", "new\n"},
		{"old\n", "new\n"},
		{"old\n\n" + keptFrom + "scores\n", "new\n\n" + keptFrom + "scores\n"},
		{"new\n\n" + keptFrom + "scores\n", "new\n\n" + keptFrom + "scores\n"},
	} {
		if c.before != "" {
			if err := os.WriteFile(path, []byte(c.before), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := writeTable(path, "new\n"); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != c.want {
			t.Errorf("%q became %q (%v), want %q", c.before, got, err, c.want)
		}
	}
}
