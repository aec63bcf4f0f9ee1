package archive

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
)

// member is one entry of a zip made for a test.
type member struct {
	name   string
	text   string
	change func(h *zip.FileHeader)
}

// zipOf makes a zip of the members, exactly as they are said to be.
func zipOf(t testing.TB, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, m := range members {
		h := &zip.FileHeader{Name: m.name, CreatorVersion: 3 << 8, ExternalAttrs: 0o100644 << 16, CRC32: crc32.ChecksumIEEE([]byte(m.text))}
		h.UncompressedSize64, h.CompressedSize64 = uint64(len(m.text)), uint64(len(m.text))
		if strings.HasSuffix(m.name, "/") {
			h.ExternalAttrs = 0o40755 << 16
		}
		if m.change != nil {
			m.change(h)
		}
		w, err := z.CreateRaw(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, m.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func mode(m uint32) func(h *zip.FileHeader) {
	return func(h *zip.FileHeader) { h.ExternalAttrs = m << 16 }
}

// deflated gives a member of n bytes of zeros, compressed.
func deflated(t testing.TB, name string, n int) member {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	crc := crc32.NewIEEE()
	zeros := make([]byte, 1<<20)
	for left := n; left > 0; left -= len(zeros) {
		zeros = zeros[:min(left, len(zeros))]
		crc.Write(zeros)
		if _, err := w.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return member{name, b.String(), func(h *zip.FileHeader) {
		h.Method, h.UncompressedSize64, h.CRC32 = zip.Deflate, uint64(n), crc.Sum32()
	}}
}

var testLimits = Limits{File: 24 << 20, Total: 40 << 20, Count: 8, Ratio: 100}

func open(data []byte, l Limits) (*Archive, error) {
	return Open(bytes.NewReader(data), int64(len(data)), l)
}

// zeros makes entries that claim n bytes in all, each stored in none: their headers lie.
func claims(sizes ...uint64) []member {
	var l []member
	for i, n := range sizes {
		l = append(l, member{string(rune('a' + i)), "x", func(h *zip.FileHeader) { h.Method, h.UncompressedSize64 = zip.Deflate, n }})
	}
	return l
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	many := make([]member, 9)
	for i := range many {
		many[i].name = string(rune('a' + i))
	}
	for name, c := range map[string]struct {
		members []member
		want    string
	}{
		"leaves":                {[]member{{name: "../evil"}}, `"../evil" may leave the folder`},
		"leaves in the middle":  {[]member{{name: "a/../../evil"}}, "may leave the folder"},
		"absolute":              {[]member{{name: "/etc/passwd"}}, `"/etc/passwd" is not relative`},
		"backslash":             {[]member{{name: `a\b`}}, "has characters that are no part of a plain path"},
		"backslash leaves":      {[]member{{name: `..\evil`}}, "has characters that are no part of a plain path"},
		"drive":                 {[]member{{name: "C:evil"}}, "has characters that are no part of a plain path"},
		"control character":     {[]member{{name: "a\nb"}}, "has characters that are no part of a plain path"},
		"NUL":                   {[]member{{name: "a\x00b"}}, "has characters that are no part of a plain path"},
		"empty":                 {[]member{{name: ""}}, "names no file"},
		"only a slash":          {[]member{{name: "/"}}, "names no file"},
		"dot":                   {[]member{{name: "./a"}}, "is not a plain path"},
		"double slash":          {[]member{{name: "a//b"}}, "is not a plain path"},
		"ends with a dot":       {[]member{{name: "a./b"}}, "ends with a dot or a space"},
		"ends with a space":     {[]member{{name: "a "}}, "ends with a dot or a space"},
		"too long":              {[]member{{name: strings.Repeat("a/", 250) + "a"}}, "is longer than 400 bytes"},
		"a long name":           {[]member{{name: strings.Repeat("a", 256)}}, "has a name of more than 255 bytes"},
		"not UTF-8":             {[]member{{name: "a\xff"}}, "is not UTF-8"},
		"link":                  {[]member{{name: "a", text: "/etc/passwd", change: mode(0o120777)}}, `"a" is a link`},
		"device":                {[]member{{name: "a", change: mode(0o20666)}}, `"a" is neither a file nor a folder`},
		"block device":          {[]member{{name: "a", change: mode(0o60666)}}, `"a" is neither a file nor a folder`},
		"pipe":                  {[]member{{name: "a", change: mode(0o10666)}}, `"a" is neither a file nor a folder`},
		"socket":                {[]member{{name: "a", change: mode(0o140666)}}, `"a" is neither a file nor a folder`},
		"a folder in disguise":  {[]member{{name: "a", change: mode(0o40755)}}, `"a" is neither a file nor a folder`},
		"setuid":                {[]member{{name: "a", change: mode(0o104755)}}, `"a" would run as another user`},
		"twice":                 {[]member{{name: "a"}, {name: "a"}}, `"a" stands there twice`},
		"twice, another case":   {[]member{{name: "Main.py"}, {name: "main.py"}}, `"Main.py" and "main.py" are one file on some systems`},
		"long s":                {[]member{{name: "s"}, {name: "ſ"}}, "are one file on some systems"},
		"folders of a case":     {[]member{{name: "Lib/a"}, {name: "lib/b"}}, `"Lib" and "lib" are one folder on some systems`},
		"a file as a folder":    {[]member{{name: "a"}, {name: "a/b"}}, `"a" is a file and a folder`},
		"a folder as a file":    {[]member{{name: "a/b"}, {name: "A"}}, `"A" is a file and a folder`},
		"a folder":              {[]member{{name: "a/"}}, `"a/" is a folder`},
		"zip encryption":        {[]member{{name: "a", change: func(h *zip.FileHeader) { h.Flags |= 1 }}}, "is encrypted by the zip itself"},
		"method":                {[]member{{name: "a", change: func(h *zip.FileHeader) { h.Method = 12 }}}, "is compressed by method 12"},
		"stored with two sizes": {[]member{{name: "a", text: "abc", change: func(h *zip.FileHeader) { h.UncompressedSize64 = 5 }}}, "is stored in 3 bytes and says it has 5"},
		"one too large":         {claims(24<<20 + 1), "more than 25165824"},
		"all too large":         {claims(24<<20, 16<<20, 1), "more than 41943040 bytes together"},
		"too many":              {many, "it has more than 8 files"},
		"bomb":                  {[]member{deflated(t, "zeros", 20<<20)}, "stand for more than 100 times as many"},
		"many small parts":      {claims(9<<20, 9<<20, 9<<20), "stand for more than 100 times as many"},
		"huge, as a wish":       {claims(1 << 62), "more than 25165824"},
		"total that overflows":  {claims(1<<62, 1<<62, 1<<62), "more than 25165824"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := testLimits
			if strings.Contains(name, "too large") {
				l.Ratio = 1 << 40
			}
			a, err := open(zipOf(t, c.members...), l)
			if err == nil || a != nil || !strings.Contains(err.Error(), c.want) || core.KindOf(err) != core.Invalid || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

func TestOpenRefusesOtherFiles(t *testing.T) {
	t.Parallel()
	good := zipOf(t, member{name: "a", text: "abc"})
	commented := slices.Concat(good[:len(good)-2], []byte{3, 0}, []byte("abc"))
	var locator [20]byte
	copy(locator[:], "PK\x06\x07")
	large := slices.Concat(good[:len(good)-22], locator[:], good[len(good)-22:])
	many := bytes.Clone(good)
	many[len(many)-12], many[len(many)-11] = 0xfe, 0xff // says 65534 entries
	list := bytes.Clone(good)
	copy(list[len(list)-10:], []byte{0, 0, 0, 0x7f}) // says a list of 2 GB
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":              {nil, "it has 0 bytes"},
		"text":                 {[]byte(strings.Repeat("text ", 50)), "it does not end as a zip"},
		"cut off":              {good[:len(good)-1], "it does not end as a zip"},
		"without its end":      {good[:len(good)-22], "it does not end as a zip"},
		"something before":     {append([]byte("#!/bin/sh\n"), good...), "something stands before"},
		"something behind":     {append(bytes.Clone(good), "more"...), "it does not end as a zip"},
		"a comment":            {commented, "it does not end as a zip"},
		"64-bit":               {large, "64-bit zip"},
		"says too many":        {many, "it has 65534 entries"},
		"says too long a list": {list, "its list of files takes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := open(c.data, testLimits); err == nil || !strings.Contains(err.Error(), c.want) || core.KindOf(err) != core.Invalid {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

func TestIsZip(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		data []byte
		want bool
	}{
		"zip": {zipOf(t, member{name: "a"}), true}, "empty zip": {zipOf(t), true}, "nothing": {nil, false}, "text": {bytes.Repeat([]byte("PK"), 30), false},
	} {
		if got := IsZip(bytes.NewReader(c.data), int64(len(c.data))); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func read(f *File) (string, error) {
	r, err := f.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return string(b), err
}

// What a zip says of a file and what it holds may differ: reading says so and never gives more.
func TestContentThatLies(t *testing.T) {
	t.Parallel()
	small := func(n uint64) func(h *zip.FileHeader) {
		return func(h *zip.FileHeader) { h.UncompressedSize64 = n }
	}
	bomb := deflated(t, "a", 1<<20)
	for name, c := range map[string]struct {
		m    member
		most int
	}{
		"more than it says": {member{"a", bomb.text, func(h *zip.FileHeader) { bomb.change(h); small(10)(h) }}, 10},
		"less than it says": {member{"a", bomb.text, func(h *zip.FileHeader) { bomb.change(h); small(2 << 20)(h) }}, 1 << 20},
		"check sum":         {member{"a", "abc", func(h *zip.FileHeader) { h.CRC32++ }}, 3},
		"no deflate":        {member{"a", "\xff\xff\xff", func(h *zip.FileHeader) { h.Method = zip.Deflate }}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := open(zipOf(t, c.m), testLimits)
			if err != nil {
				t.Fatal(err)
			}
			got, err := read(a.Files[0])
			if err == nil || core.KindOf(err) != core.Invalid || len(got) > c.most {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			dir := filepath.Join(t.TempDir(), "out")
			if err := a.Extract(context.Background(), dir, Extraction{}); err == nil {
				t.Error("it was extracted")
			}
			empty(t, filepath.Dir(dir))
		})
	}
}

// empty wants a folder with nothing in it, not even what is hidden.
func empty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		t.Errorf("%v is left (%v)", entries, err)
	}
}

func TestExtract(t *testing.T) {
	t.Parallel()
	l := testLimits
	l.Folders = true
	a, err := open(zipOf(t, member{name: "empty/deep/"}, member{name: "b/c/run", text: "go", change: mode(0o100755)}, member{name: "ä", text: "text"}, member{name: "b/"}), l)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "made", "out")
	var last, total int64
	x := Extraction{Progress: func(done, of int64) { last, total = done, of }, Check: func(f *File, sum string) error {
		if f.Path == "ä" && sum != "982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1" {
			t.Errorf("SHA-256 %s", sum)
		}
		return nil
	}}
	if err := a.Extract(context.Background(), dir, x); err != nil {
		t.Fatal(err)
	}
	if last != 6 || total != 6 {
		t.Errorf("progress %d of %d", last, total)
	}
	var got []string
	err = filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		rel, _ := filepath.Rel(dir, p)
		got = append(got, rel+" "+info.Mode().String())
		return err
	})
	want := []string{". drwxr-xr-x", "b drwxr-xr-x", "b/c drwxr-xr-x", "b/c/run -rwxr-xr-x", "empty drwxr-xr-x", "empty/deep drwxr-xr-x", "ä -rw-r--r--"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got  %q, %v\nwant %q", got, err, want)
	}
	if err := a.Extract(context.Background(), dir, Extraction{}); core.KindOf(err) != core.Exists {
		t.Errorf("over another: %v", err)
	}
}

func TestExtractFailsWhole(t *testing.T) {
	t.Parallel()
	a, err := open(zipOf(t, member{name: "a", text: "1"}, member{name: "b/c", text: "2"}), testLimits)
	if err != nil {
		t.Fatal(err)
	}
	stopped, stop := context.WithCancelCause(context.Background())
	stop(errors.New("enough"))
	for name, c := range map[string]struct {
		ctx  context.Context
		x    Extraction
		kind core.Kind
	}{
		"a check fails": {context.Background(), Extraction{Check: func(f *File, _ string) error {
			if f.Path == "b/c" {
				return core.Faultf(core.Denied, "", "", "no")
			}
			return nil
		}}, core.Denied},
		"given up": {stopped, Extraction{}, core.Cancelled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "out")
			if err := a.Extract(c.ctx, dir, c.x); core.KindOf(err) != c.kind {
				t.Errorf("got %v", err)
			}
			empty(t, filepath.Dir(dir))
		})
	}
}
