package host

import (
	"os"
	"path/filepath"
	"testing"
)

// TestTempOfAHostThatWasKilled: what it has left goes with the next host; that of one that lives stays.
func TestTempOfAHostThatWasKilled(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	var lives, killed, next temp
	kept, err := lives.path()
	if err != nil {
		t.Fatal(err)
	}
	defer lives.close()
	left, err := killed.path()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(left, "socket"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	others := filepath.Join(dir, tempPrefix+"1") // without a lock
	if err := os.Mkdir(others, 0o700); err != nil {
		t.Fatal(err)
	}
	killed.lock.Close() // as the system does
	if _, err := next.path(); err != nil {
		t.Fatal(err)
	}
	if again, err := next.path(); err != nil || again != next.dir {
		t.Errorf("%q, %v", again, err)
	}
	next.close()
	next.close()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Fatalf("%v are left (%v), want %s and %s", entries, err, kept, others)
	}
	for _, want := range []string{kept, others} {
		if _, err := os.Stat(want); err != nil {
			t.Error(err)
		}
	}
}
