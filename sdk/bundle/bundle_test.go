package bundle

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
)

func someNode() *core.Node {
	return &core.Node{
		ID: 10001, Class: "face", Coords: core.Rect(1.25, 2, 30, 40.5), Attributes: map[string]string{"age": "adult"},
		ExtraData: core.ExtraData{"confidence": json.RawMessage("0.93"), "note": json.RawMessage("null")},
		Encoding:  core.Encoding{0.1, -3e-9, 1}, Encoder: "e", TrackID: "t", Origin: "detector",
		Children: []*core.Node{{Class: "eye", Coords: core.Rect(1, 1, 2, 2)}},
	}
}

func someReturns() []core.Return {
	return []core.Return{
		{Kind: core.ReturnList, Returned: []core.NodeID{10001}, Added: []*core.Node{someNode()}, Patches: []core.Patch{{
			Node: 10001, Attributes: []core.AttributeValue{{Name: "b", Value: "1"}, {Name: "a", Value: "2"}},
			ExtraData: core.ExtraData{"k": json.RawMessage(`{"x":[1,2]}`)}, Encoding: core.Encoding{}, TrackID: "u",
		}}},
		{Kind: core.ReturnNull, Node: 7},
	}
}

// recording writes a bundle of n frames, closed as status; "" leaves it as a kill would.
func recording(t testing.TB, n int, status string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.bundle")
	h := Header{Created: time.Unix(1700000000, 0).UTC(), Capstan: "test", Source: "test://", Stream: "run", Media: MediaFrames,
		Capsules: []Capsule{{Name: "detector", Version: "1", Manifest: "name: detector\n", Options: json.RawMessage(`{}`)}}}
	w, err := Create(context.Background(), path, h, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	for seq := range uint64(n) {
		addFrame(t, w, seq+1)
	}
	if status == "" {
		if err := errors.Join(w.flush(), w.zip.Flush(), w.file.Close()); err != nil {
			t.Fatal(err)
		}
		return path + PartExtension
	}
	if err := w.Close(status, nil); err != nil {
		t.Fatal(err)
	}
	return path
}

func addFrame(t testing.TB, w *Writer, seq uint64) {
	t.Helper()
	f := FrameOf(core.Frame{Seq: seq, PTS: core.PTS(seq * 40e6), Captured: time.Unix(1700000000, int64(seq)).UTC(), Caps: core.Caps{Format: core.I420, Width: 7, Height: 5, RateN: 25, RateD: 1, Matrix: core.BT709}})
	var err error
	if f.Picture, err = w.Picture(FrameName(seq), pictureLayout(), picturePixels(seq)); err != nil {
		t.Fatal(err)
	}
	f.Nodes = NodesOf([]*core.Node{someNode()})
	f.Calls = []Call{{Capsule: "detector", Nodes: NodesOf([]*core.Node{someNode()}), Returns: ReturnsOf(someReturns())}}
	f.Drops = map[string]uint64{"late": seq}
	if err := w.Frame(f); err != nil {
		t.Fatal(err)
	}
}

func pictureLayout() core.Layout {
	l, _ := core.Packed(core.I420, 7, 5)
	l.Matrix, l.FullRange = core.BT709, true
	return l
}

func picturePixels(seq uint64) []byte {
	_, size := core.Packed(core.I420, 7, 5)
	mem := make([]byte, size)
	for i := range mem {
		mem[i] = byte(i*31) + byte(seq)
	}
	return mem
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	r, err := Open(recording(t, 150, Done), false) // more than one member of records
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.Index.Status != Done || r.Index.Frames != 150 || r.Header.Capsules[0].Name != "detector" || !r.Has("records/000003.jsonl") {
		t.Errorf("%+v, %+v", r.Header, r.Index)
	}
	for range 2 {
		for seq := range uint64(150) {
			f, err := r.Next()
			if err != nil || f.Seq != seq+1 || f.PTS != int64(seq+1)*40e6 || f.Drops["late"] != seq+1 {
				t.Fatalf("frame %d: %+v, %v", seq+1, f, err)
			}
			call := f.Call("detector")
			if got := CoreReturns(call.Returns); !reflect.DeepEqual(ReturnsOf(got), ReturnsOf(someReturns())) || !reflect.DeepEqual(got[0].Patches, someReturns()[0].Patches) {
				t.Fatalf("returns %+v", got)
			}
			if got := CoreNodes(call.Nodes)[0]; !reflect.DeepEqual(got, someNode()) {
				t.Fatalf("node %+v, want %+v", got, someNode())
			}
			l, mem, err := r.Pixels(f.Picture)
			if err != nil || !bytes.Equal(mem, picturePixels(seq+1)) || !reflect.DeepEqual(l, pictureLayout()) {
				t.Fatalf("picture %d: %+v, %v", seq+1, l, err)
			}
		}
		if f, err := r.Next(); err != io.EOF {
			t.Fatalf("after the end: %+v, %v", f, err)
		}
		r.Rewind()
	}
	if err := r.Verify(); err != nil {
		t.Error(err)
	}
}

// TestOthersReadIt holds the file against the zip package alone.
func TestOthersReadIt(t *testing.T) {
	t.Parallel()
	z, err := zip.OpenReader(recording(t, 3, Done))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var names []string
	for _, f := range z.File {
		names = append(names, f.Name)
		in, err := f.Open()
		if err == nil {
			_, err = io.Copy(io.Discard, in)
		}
		if err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
	if got := strings.Join(names, " "); got != "bundle.json frames/00000001.raw frames/00000002.raw frames/00000003.raw records/000001.jsonl index.json" {
		t.Errorf("members %s", got)
	}
}

func TestClip(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	clip := bytes.Repeat([]byte("film"), 100_000)
	if err := os.WriteFile(filepath.Join(dir, "a.mkv"), clip, 0o600); err != nil {
		t.Fatal(err)
	}
	h := Header{Media: MediaClip, Clip: &Clip{File: "clip/clip.mkv", Start: 5}}
	w, err := Create(t.Context(), filepath.Join(dir, "x.bundle"), h, filepath.Join(dir, "a.mkv"), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(Done, nil); err != nil {
		t.Fatal(err)
	}
	r, err := Open(filepath.Join(dir, "x.bundle"), false)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var got bytes.Buffer
	if err := r.Clip(&got); err != nil || !bytes.Equal(got.Bytes(), clip) || r.Header.Clip.Start != 5 {
		t.Errorf("%d bytes of %d, %v", got.Len(), len(clip), err)
	}
	_, err = Create(t.Context(), filepath.Join(dir, "y.bundle"), h, filepath.Join(dir, "a.mkv"), 1000)
	if err == nil || !strings.Contains(err.Error(), "--limit") {
		t.Errorf("a clip beyond the limit: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "y*")); len(left) != 0 {
		t.Errorf("it leaves %v", left)
	}
}

// TestKilled reads a recording that was never closed, cut off at every few bytes: up to its end.
func TestKilled(t *testing.T) {
	t.Parallel()
	path := recording(t, 130, "")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	count := func(data []byte) int {
		r, err := newReader("x.part", bytes.NewReader(data), int64(len(data)), true)
		if err != nil {
			if core.KindOf(err) != core.Invalid {
				t.Fatalf("at %d: %v", len(data), err)
			}
			return -1
		}
		if r.Index.Status != Incomplete {
			t.Fatalf("at %d its status is %s", len(data), r.Index.Status)
		}
		n := 0
		for ; ; n++ {
			if _, err := r.Next(); err == io.EOF {
				return n
			} else if err != nil {
				t.Fatalf("at %d, frame %d: %v", len(data), n+1, err)
			}
		}
	}
	if n := count(whole); n != 130 {
		t.Errorf("%d frames of 130", n)
	}
	most := -1
	for at := 0; at < len(whole); at += 997 {
		n := count(whole[:at])
		if n < most || n > 130 { // what is flushed goes by frames and by time
			t.Errorf("%d frames in the first %d bytes, %d before", n, at, most)
		}
		most = max(most, n)
	}
	if most < flushFrames {
		t.Errorf("at most %d frames were read of a part", most)
	}
}

func TestCutOff(t *testing.T) {
	t.Parallel()
	path := recording(t, 70, Done)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, whole[:len(whole)-30], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, false); err == nil || !strings.Contains(err.Error(), "cut off") || !strings.Contains(err.Error(), "--partial") {
		t.Errorf("it opens with %v", err)
	}
	r, err := Open(path, true)
	if err != nil || r.Index.Status != Incomplete {
		t.Fatalf("%+v, %v", r, err)
	}
	defer r.Close()
	if f, err := r.Next(); err != nil || f.Seq != 1 {
		t.Errorf("%+v, %v", f, err)
	}
}

// TestAltered changes each byte of a few hundred: what is read then is a fault, or what was written.
func TestAltered(t *testing.T) {
	t.Parallel()
	whole, err := os.ReadFile(recording(t, 2, Done))
	if err != nil {
		t.Fatal(err)
	}
	read := func(data []byte) error {
		r, err := newReader("x", bytes.NewReader(data), int64(len(data)), false)
		if err != nil {
			return err
		}
		if err := r.Verify(); err != nil {
			return err
		}
		for {
			if _, err := r.Next(); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
		}
	}
	if err := read(whole); err != nil {
		t.Fatal(err)
	}
	faults := 0
	for at := range whole {
		data := bytes.Clone(whole)
		data[at] ^= 0x15
		if err := read(data); err != nil {
			faults++
			if core.KindOf(err) != core.Invalid && core.KindOf(err) != core.Unsupported {
				t.Errorf("byte %d: %v", at, err)
			}
		}
	}
	// dates, and names beside the directory, are not looked at
	if faults < len(whole)*3/4 {
		t.Errorf("%d of %d altered bytes were seen", faults, len(whole))
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	header := `{"format":"capstan-bundle","version":1,"media":"none","capsules":[]}`
	frame := func(text string) map[string]string {
		return map[string]string{"bundle.json": header, "records/000001.jsonl": text}
	}
	tests := []struct {
		name    string
		members map[string]string
		says    string
	}{
		{"another format", map[string]string{"bundle.json": `{"format":"zip"}`}, "not a bundle"},
		{"a later version", map[string]string{"bundle.json": `{"format":"capstan-bundle","version":2}`}, "version 2"},
		{"no header", map[string]string{"records/000001.jsonl": ""}, "no bundle.json"},
		{"header that is no JSON", map[string]string{"bundle.json": "{"}, "bundle.json"},
		{"a path that leaves", map[string]string{"bundle.json": header, "../x": ""}, "none of a bundle"},
		{"a clip that leaves", map[string]string{"bundle.json": header, "clip/..": ""}, "none of a bundle"},
		{"a stranger", map[string]string{"bundle.json": header, "virus.exe": ""}, "none of a bundle"},
		{"clip that is not there", map[string]string{"bundle.json": `{"format":"capstan-bundle","version":1,"media":"clip","clip":{"file":"clip/a.mkv"}}`}, "missing"},
		{"media that is none", map[string]string{"bundle.json": `{"format":"capstan-bundle","version":1,"media":"tape"}`}, "tape"},
		{"record that is no JSON", frame("{\n"), "records/000001.jsonl"},
		{"frame without number", frame("{}\n"), "no number"},
		{"frames out of order", frame("{\"seq\":2}\n{\"seq\":2}\n"), "frame 2 stands after frame 2"},
		{"picture too large", frame(`{"seq":1,"picture":{"file":"frames/00000001.raw","format":"RGB","width":32768,"height":32768}}`), "cannot be"},
		{"picture of no format", frame(`{"seq":1,"picture":{"file":"frames/00000001.raw","format":"X","width":1,"height":1}}`), "cannot be"},
		{"picture elsewhere", frame(`{"seq":1,"picture":{"file":"/etc/passwd","format":"RGB","width":1,"height":1}}`), "cannot be"},
		{"return of no kind", frame(`{"seq":1,"calls":[{"capsule":"a","returns":[{"kind":"maybe"}]}]}`), "maybe"},
		{"capsule without a name", frame(`{"seq":1,"calls":[{"capsule":"../a"}]}`), "../a"},
		{"children without end", frame(`{"seq":1,"detections":[` + strings.Repeat(`{"children":[`, 40) + strings.Repeat(`]}`, 40) + `]}`), "levels"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := readAll(zipOf(t, tt.members))
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want %q", err, tt.says)
			}
		})
	}
}

func zipOf(t testing.TB, members map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range members {
		w, err := z.Create(name)
		if err == nil {
			_, err = io.WriteString(w, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// readAll reads everything that a bundle has, as far as it is one.
func readAll(data []byte) error {
	r, err := newReader("x", bytes.NewReader(data), int64(len(data)), true)
	if err != nil {
		return err
	}
	for {
		f, err := r.Next()
		if err == io.EOF {
			return r.Verify()
		}
		if err != nil {
			return err
		}
		for i := range f.Calls {
			CoreNodes(f.Calls[i].Nodes)
			CoreReturns(f.Calls[i].Returns)
			if p := f.Calls[i].Picture; p != nil {
				if l, mem, err := r.Pixels(p); err == nil && l.Check(int64(len(mem))) != nil {
					return errors.New("a picture does not fit its layout")
				}
			}
		}
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.bundle")
	w, err := Create(t.Context(), path, Header{Media: MediaNone}, "", 20_000)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; n < 1000; n++ {
		f := FrameOf(core.Frame{Seq: uint64(n + 1)})
		f.Nodes = NodesOf([]*core.Node{someNode(), someNode()})
		if err = w.Frame(f); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrLimit) || n == 0 {
		t.Fatalf("after %d frames: %v", n, err)
	}
	if err := w.Close(Limited, nil); err != nil {
		t.Fatal(err)
	}
	r, err := Open(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if info, _ := os.Stat(path); r.Index.Status != Limited || r.Index.Frames != n || info.Size() > 25_000 {
		t.Errorf("%s with %d frames of %d, %d bytes", r.Index.Status, r.Index.Frames, n, info.Size())
	}
}

func TestSecretsStayOut(t *testing.T) {
	t.Parallel()
	d := core.Declaration{
		Name: "a", Version: "1", API: core.APIVersion, Entry: "a", Input: core.Description{Size: core.SizeNone}, Output: core.Description{Size: core.SizeAll, Detections: []string{"x"}},
		Options: []core.Option{{Name: "key", Type: core.SecretOption, Default: ""}, {Name: "wait", Type: core.DurationOption, Default: time.Second}},
	}
	c, err := CapsuleOf(d, core.Values{"key": "hunter2", "wait": 3 * time.Second})
	if err != nil || strings.Contains(string(c.Options), "hunter2") || strings.Contains(string(c.Options), "key") {
		t.Fatalf("%s, %v", c.Options, err)
	}
	values, err := c.Values()
	if err != nil {
		t.Fatal(err)
	}
	back, err := c.Declaration()
	if err != nil || back.Name != "a" {
		t.Fatalf("%+v, %v", back, err)
	}
	if v, err := back.Complete(values); err != nil || v.Duration("wait") != 3*time.Second {
		t.Errorf("%v, %v", v, err)
	}
}

func FuzzOpen(f *testing.F) {
	whole, err := os.ReadFile(recording(f, 2, Done))
	if err != nil {
		f.Fatal(err)
	}
	part, err := os.ReadFile(recording(f, 2, ""))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(part)
	f.Add(whole[:len(whole)/2])
	f.Add(zipOf(f, map[string]string{"bundle.json": `{"format":"capstan-bundle","version":1,"media":"none"}`, "records/000001.jsonl": `{"seq":1}`}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := readAll(data); err != nil && core.KindOf(err) != core.Invalid && core.KindOf(err) != core.Unsupported {
			t.Errorf("%v is of kind %s", err, core.KindOf(err))
		}
	})
}

func FuzzFrame(f *testing.F) {
	text, err := json.Marshal(Frame{Seq: 1, Nodes: NodesOf([]*core.Node{someNode()}), Calls: []Call{{Capsule: "a", Returns: ReturnsOf(someReturns())}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Add(`{"seq":1,"detections":[{"coords":[[1,2]],"encoding":[]}]}`)
	f.Fuzz(func(t *testing.T, line string) {
		r := &Reader{path: "x"}
		got, err := r.frame([]byte(line))
		if err != nil {
			return
		}
		again, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		r.last = 0
		back, err := r.frame(again)
		if err != nil {
			t.Fatalf("%s is refused: %v", again, err)
		}
		if third, _ := json.Marshal(back); !bytes.Equal(third, again) {
			t.Errorf("%s becomes %s", again, third)
		}
	})
}
