package sqlstore

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

// kept saves two blobs, and gives their IDs.
func kept(t *testing.T, url string) (ids []core.BlobID) {
	t.Helper()
	s, err := Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	err = s.Update(t.Context(), func(tx store.Tx) error {
		ids = nil
		for _, sum := range []string{"aa", "bb"} {
			id, err := tx.SaveBlob(core.Blob{Type: "x", Size: 7, SHA256: sum})
			if err != nil {
				return err
			}
			ids = append(ids, id)
		}
		_, err := tx.SaveStream(core.StreamConfig{Name: "s", Connection: core.Connection{Kind: core.FileClip, Blob: ids[0]}})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func holds(t *testing.T, c Contents, err error, ids []core.BlobID) {
	t.Helper()
	if err != nil || c.Version != SchemaVersion() || len(c.Blobs) != len(ids) {
		t.Fatalf("%+v %v, want %d blobs", c, err, len(ids))
	}
	for i, b := range c.Blobs {
		if b.ID != ids[i] || b.Size != 7 || len(b.SHA256) != 2 {
			t.Errorf("%+v", b)
		}
	}
}

// TestSnapshot takes one while the database is open, looks at it, and has it forget a file.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, to := filepath.Join(dir, "what?.db"), filepath.Join(dir, "it's.db")
	ids := kept(t, "sqlite:"+file)
	if err := Snapshot(t.Context(), file, to); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(to); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", st.Mode(), err)
	}
	c, err := Inspect(t.Context(), to)
	holds(t, c, err, ids)
	if err := Forget(t.Context(), to, ids[:1]); err != nil {
		t.Fatal(err)
	}
	c, err = Inspect(t.Context(), to)
	holds(t, c, err, ids[1:])
	s, err := Open(t.Context(), "sqlite:"+to)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.View(context.Background(), func(tx store.Tx) error {
		streams, err := tx.Streams(0)
		if err == nil && (len(streams) != 1 || streams[0].Connection.Blob != 0) {
			t.Errorf("%+v", streams)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	if err := Snapshot(t.Context(), file, to); core.KindOf(err) != core.Exists {
		t.Errorf("over a file: %v", err)
	}
	if err := Snapshot(t.Context(), filepath.Join(dir, "none"), filepath.Join(dir, "new")); core.KindOf(err) != core.NotFound {
		t.Errorf("of nothing: %v", err)
	}
	garbage := filepath.Join(dir, "garbage")
	if err := os.WriteFile(garbage, make([]byte, 9000), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Inspect(t.Context(), garbage); core.KindOf(err) != core.Invalid {
		t.Errorf("garbage: %v", err)
	}
}

func TestInspectPostgres(t *testing.T) {
	t.Parallel()
	url := postgres(t)
	ids := kept(t, url)
	c, err := InspectPostgres(t.Context(), url)
	holds(t, c, err, ids)
	if _, err := InspectPostgres(t.Context(), "postgres://nobody@127.0.0.1:1/none"); err == nil {
		t.Error("a database that is not there was read")
	}
}
