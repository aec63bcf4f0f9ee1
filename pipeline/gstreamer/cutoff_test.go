package gstreamer

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
)

// box makes a box with so many bytes in it; wide: with a length of 64 bits.
func box(kind string, n int, wide bool) []byte {
	var b []byte
	if wide {
		b = binary.BigEndian.AppendUint64(append([]byte{0, 0, 0, 1}, kind...), uint64(n)+16)
	} else {
		b = append(binary.BigEndian.AppendUint32(nil, uint32(n)+8), kind...)
	}
	return append(b, make([]byte, n)...)
}

func TestWithoutIndex(t *testing.T) {
	t.Parallel()
	head, data, index := box("ftyp", 16, false), box("mdat", 100, false), box("moov", 50, false)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	toTheEnd := append([]byte{0, 0, 0, 0}, "mdat0123456789"...)
	for name, c := range map[string]struct {
		file []byte
		want bool
	}{
		"whole": {join(head, data, index), false}, "index first": {join(head, index, data), false}, "index first, cut": {join(head, index, data[:40]), false},
		"wide": {join(head, box("mdat", 100, true), index), false}, "no index": {join(head, data), true}, "cut in its data": {join(head, data[:50]), true},
		"cut in its index": {join(head, data, index[:20]), true}, "cut in the head of its index": {join(head, data, index[:5]), true}, "head alone": {head, true},
		"data to the end": {join(head, toTheEnd), true}, "wide and cut": {join(head, box("mdat", 100, true)[:60]), true}, "fragments alone": {join(head, box("moof", 10, false)), false},
		"picture": {join(head, box("meta", 10, false), data), false}, "something else": {data, false}, "empty": {nil, false}, "text": {bytes.Repeat([]byte("no video "), 9), false},
		"nonsense": {join(head, []byte{0, 0, 0, 3}, []byte("mdat12345678")), false}, "below 0": {join(head, []byte{0, 0, 0, 1}, []byte("mdat"), []byte{255, 255, 255, 255, 255, 255, 255, 255}), false},
	} {
		if got := withoutIndex(bytes.NewReader(c.file), int64(len(c.file))); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// TestCutOff: a file without its index is refused at once, every time.
func TestCutOff(t *testing.T) {
	t.Parallel()
	whole, err := os.ReadFile(build(t, "w.mp4", ballH264+" ! mp4mux", 30, 320, 240))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "cut.mp4")
	if err := os.WriteFile(path, whole[:len(whole)*3/4], 0o600); err != nil {
		t.Fatal(err)
	}
	m := newMedia(t)
	m.OpenLimit = 1 // nothing of GStreamer could answer by then
	for _, open := range []func() error{
		func() error { _, err := m.Open(t.Context(), pipeline.Source{URL: path}); return err },
		func() error { _, err := m.OpenEncoded(t.Context(), pipeline.Source{URL: path}); return err },
	} {
		if err := open(); core.KindOf(err) != core.SourceFormat {
			t.Errorf("%v", err)
		}
	}
}

// FuzzWithoutIndex: whatever a file has in it, the walk over it ends.
func FuzzWithoutIndex(f *testing.F) {
	f.Add(bytes.Join([][]byte{box("ftyp", 4, false), box("mdat", 9, true), box("moov", 3, false)}, nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		if withoutIndex(bytes.NewReader(data), int64(len(data))) && !bytes.Contains(data[:min(8, len(data))], []byte("ftyp")) {
			t.Error("something else was taken for an MP4")
		}
	})
}
