package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/blob"
	"github.com/capstan-video/capstan/server/store"
	"github.com/capstan-video/capstan/server/store/sqlstore"
)

// house is a data folder that is open, as a server has it.
type house struct {
	t     *testing.T
	dir   string
	db    *sqlstore.Store
	blobs *blob.Folder
}

func open(t *testing.T, dir string) *house {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := sqlstore.Open(t.Context(), "sqlite:"+filepath.Join(dir, dbName))
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := blob.Open(filepath.Join(dir, "blobs"), blob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t, dir, db, blobs}
	t.Cleanup(h.close)
	return h
}

func (h *house) close() {
	if err := errors.Join(h.db.Close(), h.blobs.Close()); err != nil {
		h.t.Error(err)
	}
}

// add keeps a file, and a stream that plays it.
func (h *house) add(n int) (core.BlobID, error) {
	p, err := h.blobs.Write(context.Background(), strings.NewReader(strings.Repeat(fmt.Sprint(n), 1000)))
	if err != nil {
		return 0, err
	}
	defer p.Close()
	var id core.BlobID
	err = h.db.Update(context.Background(), func(tx store.Tx) error {
		if id, err = tx.SaveBlob(core.Blob{Type: "text/plain", Size: p.Size, SHA256: p.SHA256, Created: time.Now()}); err != nil {
			return err
		}
		if err := p.Keep(id); err != nil {
			return err
		}
		_, err := tx.SaveStream(core.StreamConfig{Name: fmt.Sprint("stream ", n), Connection: core.Connection{Kind: core.FileClip, Blob: id}})
		return err
	})
	return id, err
}

// state tells everything that the folder holds, and holds its files against the rows.
func (h *house) state() string {
	h.t.Helper()
	var b strings.Builder
	err := h.db.View(h.t.Context(), func(tx store.Tx) error {
		streams, err := tx.Streams(0)
		blobs, err2 := tx.Blobs(store.Page{})
		for _, s := range streams {
			fmt.Fprintln(&b, s.Number, s.Name, s.Connection.Blob)
		}
		for _, one := range blobs {
			f, _, err := h.blobs.Read(one.ID)
			if err != nil {
				return err
			}
			content, err := io.ReadAll(f)
			fmt.Fprintf(&b, "%d %s %.8s\n", one.ID, one.SHA256, content)
			if err := errors.Join(err, f.Close()); err != nil {
				return err
			}
		}
		return errors.Join(err, err2)
	})
	if err != nil {
		h.t.Error(err)
	}
	return b.String()
}

// TestRoundTrip backs up, restores and compares; what has no place in a backup stays out.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	h := open(t, filepath.Join(t.TempDir(), "data"))
	for n := range 300 {
		if _, err := h.add(n); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"keys/master": "secret", "server.lock": "1", "capsules/a.cap": "zip", "capsules/unpacked/x": "no", "tmp/x": "no", "backup-left/x": "no"} {
		file := filepath.Join(h.dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	m, err := Write(t.Context(), &b, h.dir, "", "v1")
	if err != nil || len(m.Damaged) > 0 || len(m.Files) != 303 || m.Capstan != "v1" || m.Schema != sqlstore.SchemaVersion() {
		t.Fatalf("%v: %d files, %d damaged", err, len(m.Files), len(m.Damaged))
	}
	to := filepath.Join(t.TempDir(), "new", "data")
	back, err := Restore(t.Context(), bytes.NewReader(b.Bytes()), to)
	if err != nil || !slices.Equal(back.Files, m.Files) {
		t.Fatal(err)
	}
	if st, err := os.Stat(to); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", st.Mode(), err)
	}
	for name, want := range map[string]bool{"keys/master": true, "capsules/a.cap": true, "server.lock": false, "capsules/unpacked/x": false, "tmp/x": false, "backup-left/x": false} {
		if _, err := os.Stat(filepath.Join(to, name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if now := open(t, to).state(); now != h.state() {
		t.Errorf("it is not as it was:\n%.500s", now)
	}
	if left, _ := filepath.Glob(filepath.Join(h.dir, "backup-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := Restore(t.Context(), bytes.NewReader(b.Bytes()), to); core.KindOf(err) != core.Exists {
		t.Errorf("over another folder: %v", err)
	}
}

// TestUnderLoad backs up while files come and go; each backup is whole by itself.
func TestUnderLoad(t *testing.T) {
	t.Parallel()
	h := open(t, filepath.Join(t.TempDir(), "data"))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		var ids []core.BlobID
		for n := 0; ctx.Err() == nil; n++ {
			id, err := h.add(n)
			if ids = append(ids, id); err == nil && n%3 == 2 {
				err = h.db.Update(context.Background(), func(tx store.Tx) error { return tx.DeleteBlob(ids[n-2]) })
				err = errors.Join(err, h.blobs.Delete(ids[n-2]))
			}
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for n := range 5 {
		var b bytes.Buffer
		m, err := Write(t.Context(), &b, h.dir, "", "v1")
		if err != nil || len(m.Damaged) > 0 {
			t.Fatalf("backup %d: %v %v", n, err, m.Damaged)
		}
		to := filepath.Join(t.TempDir(), "data")
		if _, err := Restore(t.Context(), &b, to); err != nil {
			t.Fatalf("backup %d: %v", n, err)
		}
		other := open(t, to)
		if err := other.db.View(t.Context(), func(tx store.Tx) error {
			blobs, err := tx.Blobs(store.Page{})
			if missing := other.blobs.Missing(blobs); len(missing) > 0 {
				t.Errorf("backup %d: %v are missing", n, missing)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestDamagedFile is written as it is, and said.
func TestDamagedFile(t *testing.T) {
	t.Parallel()
	h := open(t, filepath.Join(t.TempDir(), "data"))
	id, err := h.add(7)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.dir, blobName(id)), []byte("rot"), 0o600); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	m, err := Write(t.Context(), &b, h.dir, "", "v1")
	if err != nil || !slices.Equal(m.Damaged, []string{blobName(id)}) {
		t.Fatalf("%v %v", err, m.Damaged)
	}
	if _, err := Restore(t.Context(), &b, filepath.Join(t.TempDir(), "data")); err != nil {
		t.Error(err)
	}
}

// parts reads an archive, and written writes one.
func parts(t *testing.T, data []byte) (names []string, content map[string][]byte) {
	t.Helper()
	content = map[string][]byte{}
	r := tar.NewReader(bytes.NewReader(data))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names, content
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		if content[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func written(names []string, content map[string][]byte, kind byte) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, n := range names {
		h := &tar.Header{Name: n, Size: int64(len(content[n])), Typeflag: tar.TypeReg, Mode: 0o600}
		if kind != 0 && n != manifestName {
			h.Typeflag, h.Size, h.Linkname = kind, 0, "/etc/passwd"
		}
		_ = w.WriteHeader(h)
		_, _ = w.Write(content[n][:h.Size])
	}
	_ = w.Close()
	return b.Bytes()
}

// TestRestoreRefuses wants every wrong archive refused, and nothing left.
func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	h := open(t, filepath.Join(t.TempDir(), "data"))
	id, err := h.add(7)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := Write(t.Context(), &b, h.dir, "", "v1"); err != nil {
		t.Fatal(err)
	}
	good := b.Bytes()
	change := func(f func(names []string, content map[string][]byte) []string) []byte {
		names, content := parts(t, good)
		return written(f(names, content), content, 0)
	}
	manifest := func(f func(*Manifest)) []byte {
		return change(func(names []string, content map[string][]byte) []string {
			var m Manifest
			if err := json.Unmarshal(content[manifestName], &m); err != nil {
				t.Fatal(err)
			}
			f(&m)
			content[manifestName], _ = json.Marshal(m)
			return names
		})
	}
	extra := func(name string) []byte {
		return change(func(names []string, content map[string][]byte) []string {
			content[name] = []byte("x")
			return append([]string{name}, names...)
		})
	}
	names, content := parts(t, good)
	for name, c := range map[string]struct {
		data []byte
		kind core.Kind
		text string
	}{
		"nothing":                     {nil, core.Invalid, "no manifest at its end"},
		"no archive":                  {bytes.Repeat([]byte("x"), 2048), core.Invalid, "is damaged"},
		"cut off":                     {good[:len(good)/2], core.Invalid, "cut off"},
		"without manifest":            {change(func(n []string, _ map[string][]byte) []string { return n[:len(n)-1] }), core.Invalid, "no manifest at its end"},
		"without a file":              {change(func(n []string, _ map[string][]byte) []string { return slices.Delete(n, 1, 2) }), core.Invalid, "its manifest lists 2"},
		"a changed file":              {change(func(n []string, c map[string][]byte) []string { c[blobName(id)][0]++; return n }), core.Invalid, "not as the manifest says"},
		"a damaged database":          {change(func(n []string, c map[string][]byte) []string { copy(c[dbName][100:], make([]byte, 3000)); return n }), core.Invalid, "not as the manifest says"},
		"a file of a newer":           {manifest(func(m *Manifest) { m.Schema = 1 << 20 }), core.Unsupported, "databases up to"},
		"a format of a newer":         {manifest(func(m *Manifest) { m.Format++ }), core.Unsupported, "format 2"},
		"a lie":                       {manifest(func(m *Manifest) { m.Files[1].SHA256 = m.Files[0].SHA256 }), core.Invalid, "not as the manifest says"},
		"a database apart, and in it": {manifest(func(m *Manifest) { m.Apart = true }), core.Invalid, "says otherwise"},
		"another version":             {manifest(func(m *Manifest) { m.Schema-- }), core.Invalid, "and the manifest says"},
		"leaves the folder":           {extra("files/../../x"), core.Invalid, "no place in a backup"},
		"an absolute path":            {extra("files//etc/x"), core.Invalid, "no place in a backup"},
		"over the database":           {extra("files/capstan.db"), core.Invalid, "no place in a backup"},
		"a wrong shard":               {extra("blobs/00/7"), core.Invalid, "no place in a backup"},
		"a blob by the side":          {extra("files/blobs/07/7"), core.Invalid, "no place in a backup"},
		"a link":                      {written(names, content, tar.TypeSymlink), core.Invalid, "no place in a backup"},
		"more behind it":              {change(func(n []string, c map[string][]byte) []string { c["files/x"] = nil; return append(n, "files/x") }), core.Invalid, "follows the manifest"},
		"a file twice":                {change(func(n []string, _ map[string][]byte) []string { return append([]string{n[0]}, n...) }), core.Invalid, "no place in a backup"},
	} {
		parent := t.TempDir()
		to := filepath.Join(parent, "data")
		_, err := Restore(t.Context(), bytes.NewReader(c.data), to)
		if core.KindOf(err) != c.kind || !strings.Contains(fmt.Sprint(err), c.text) {
			t.Errorf("%s: %v, want %s", name, err, c.text)
		}
		if left, _ := os.ReadDir(parent); len(left) > 0 {
			t.Errorf("%s: %v is left", name, left)
		}
	}
}

// TestApart restores what a server on PostgreSQL has in its folder.
func TestApart(t *testing.T) {
	t.Parallel()
	m, err := json.Marshal(Manifest{Format: format, Apart: true, Files: []Entry{{"files/keys/secrets.key", 1, "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"}}})
	if err != nil {
		t.Fatal(err)
	}
	archive := written([]string{"files/keys/secrets.key", manifestName}, map[string][]byte{"files/keys/secrets.key": []byte("x"), manifestName: m}, 0)
	to := filepath.Join(t.TempDir(), "data")
	if _, err := Restore(t.Context(), bytes.NewReader(archive), to); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(to, "keys", "secrets.key")); err != nil || string(text) != "x" {
		t.Errorf("%q %v", text, err)
	}
	if _, err := Write(t.Context(), io.Discard, to, "postgres://nobody@127.0.0.1:1/none", "v1"); err == nil {
		t.Error("it is backed up without its database")
	}
}

func TestWriteRefuses(t *testing.T) {
	t.Parallel()
	if _, err := Write(t.Context(), io.Discard, filepath.Join(t.TempDir(), "none"), "", ""); core.KindOf(err) != core.NotFound || !strings.Contains(err.Error(), "--data") {
		t.Errorf("no folder: %v", err)
	}
	if _, err := Write(t.Context(), io.Discard, t.TempDir(), "", ""); core.KindOf(err) != core.NotFound {
		t.Errorf("no database: %v", err)
	}
	h := open(t, filepath.Join(t.TempDir(), "data"))
	unlock, err := lock(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if _, err := Write(t.Context(), io.Discard, h.dir, "", ""); core.KindOf(err) != core.Invalid || !strings.Contains(err.Error(), "another backup") {
		t.Errorf("two at once: %v", err)
	}
}

// FuzzRestore wants any archive to be refused or restored, and nothing written elsewhere.
func FuzzRestore(f *testing.F) {
	f.Add([]byte("x"))
	f.Add(written([]string{dbName, manifestName}, map[string][]byte{dbName: []byte("SQLite format 3\x00"), manifestName: []byte(`{"format":1}`)}, 0))
	f.Add(written([]string{"files/a/b", "files/a"}, map[string][]byte{"files/a/b": []byte("1"), "files/a": []byte("2")}, 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		parent := t.TempDir()
		if _, err := Restore(context.Background(), bytes.NewReader(data), filepath.Join(parent, "data")); err != nil {
			if left, _ := os.ReadDir(parent); len(left) > 0 {
				t.Errorf("%v is left", left)
			}
		}
	})
}
