package pack

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/manifest"
)

const testManifest = "name: detector_fire\nversion: 2\noutput: {size: all, detections: [fire]}\nentry: bin/fire\n"

// tree writes files below a new folder; what begins with #! is executable.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o644)
		if strings.HasPrefix(text, "#!") {
			mode = 0o755
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func licence() string {
	var b strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&b, "%d. You may.\n", i*i)
	}
	return b.String()
}

func fire() map[string]string {
	return map[string]string{
		"capsule.yaml": testManifest, "bin/fire": "#!/bin/sh\nexit 1\n", "LICENSE": licence(), "models/fire.bin": strings.Repeat("\x00", 1<<20),
		"docs/für alle.md": "Text.\n", "empty": "",
	}
}

// packed writes a package of the files and gives its path.
func packed(t testing.TB, files map[string]string, w Writing) (string, Written) {
	t.Helper()
	if w.Out == "" {
		w.Out = filepath.Join(t.TempDir(), "fire.cap")
	}
	got, err := Write(context.Background(), tree(t, files), w)
	if err != nil {
		t.Fatal(err)
	}
	return w.Out, got
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// onlyFiles wants exactly these names in a folder.
func onlyFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s holds %v, want %v", dir, got, want)
	}
}

func TestWriteAndOpen(t *testing.T) {
	t.Parallel()
	var done, total int64
	path, w := packed(t, fire(), Writing{Progress: func(d, of int64) { done, total = d, of }})
	if done != total || total < 2<<20 {
		t.Errorf("progress %d of %d", done, total)
	}
	p, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.Digest != w.Digest || p.Digest != sha256.Sum256(p.Text) || p.Encrypted || p.Signatures != nil || p.Size != w.Size {
		t.Errorf("%+v", p)
	}
	var paths []string
	for _, f := range p.Manifest.Files {
		paths = append(paths, fmt.Sprintf("%s %d %v", f.Path, f.Size, f.Executable))
	}
	want := []string{"LICENSE 34537 false", "bin/fire 17 true", "docs/für alle.md 6 false", "empty 0 false", "models/fire.bin 1048576 false"}
	if !slices.Equal(paths, want) {
		t.Errorf("files %q", paths)
	}
	if p.Manifest.Name != "detector_fire" || p.Manifest.Entry != "bin/fire" || !slices.Equal(p.Manifest.Platforms(), []string{"any"}) {
		t.Errorf("manifest %+v", p.Manifest)
	}
	if err := p.Verify(context.Background(), nil); err != nil {
		t.Error(err)
	}
	if got := Licences(p.Manifest); !slices.Equal(got, []string{"LICENSE"}) {
		t.Errorf("licences %v", got)
	}
	dir := filepath.Join(t.TempDir(), "out")
	if err := p.Extract(context.Background(), dir, nil); err != nil {
		t.Fatal(err)
	}
	for name, text := range fire() {
		if got := string(readFile(t, filepath.Join(dir, name))); got != text && name != "capsule.yaml" {
			t.Errorf("%s holds %d bytes", name, len(got))
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "bin", "fire")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", info, err)
	}
	// The folder is a capsule's again, and packing it gives the same package.
	again := filepath.Join(t.TempDir(), "again.cap")
	if _, err := Write(context.Background(), dir, Writing{Out: again}); err != nil || !bytes.Equal(readFile(t, again), readFile(t, path)) {
		t.Errorf("packed again it is another file: %v", err)
	}
}

// The same files give the same bytes, whenever, wherever and in whatever order they were made.
// The digest holds the format still: change it knowingly, with the version of the format.
func TestReproducible(t *testing.T) {
	t.Parallel()
	path, w := packed(t, fire(), Writing{})
	if got, want := w.Digest.String(), "8c1156fbbb896f0dd4536f9a62ed4ab199dcb6d5599e9ae94628eba877774184"; got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
	for range 3 {
		other, _ := packed(t, fire(), Writing{})
		if !bytes.Equal(readFile(t, path), readFile(t, other)) {
			t.Fatal("two packages of the same files differ")
		}
	}
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var names []string
	methods := map[string]uint16{"capsule.yaml": zip.Store, "LICENSE": zip.Deflate, "models/fire.bin": zip.Store} // a megabyte of zeros would look like a bomb
	for _, f := range z.File {
		names = append(names, f.Name)
		if f.ModifiedDate != 0x21 || f.ModifiedTime != 0 || len(f.Extra) > 0 {
			t.Errorf("%s: date %x, time %x, extra %x", f.Name, f.ModifiedDate, f.ModifiedTime, f.Extra)
		}
		if want, ok := methods[f.Name]; ok && f.Method != want {
			t.Errorf("%s: method %d", f.Name, f.Method)
		}
	}
	if want := []string{"capsule.yaml", "LICENSE", "bin/fire", "docs/für alle.md", "empty", "models/fire.bin"}; !slices.Equal(names, want) {
		t.Errorf("order %q", names)
	}
}

func TestLeftOut(t *testing.T) {
	t.Parallel()
	files := fire()
	for _, name := range []string{".git/config", ".env", "__pycache__/x.pyc", "lib/__pycache__/y", "old.cap", "anna.key", "capsule.sig", "main.go", "sub/x.go", "testdata/clip", "sub/testdata", "docs/draft.md", "sub/docs/draft.md"} {
		files[name] = name
	}
	files[IgnoreName] = "# not needed\n*.go\ntestdata/\n docs/draft.md \n\n"
	_, w := packed(t, files, Writing{})
	var got []string
	for _, f := range w.Manifest.Files {
		got = append(got, f.Path)
	}
	if want := []string{"LICENSE", "bin/fire", "docs/für alle.md", "empty", "models/fire.bin", "sub/docs/draft.md", "sub/testdata"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestWriteRefuses(t *testing.T) {
	t.Parallel()
	with := func(name, text string) map[string]string {
		f := fire()
		f[name] = text
		return f
	}
	for name, c := range map[string]struct {
		files map[string]string
		w     Writing
		want  string
	}{
		"no manifest":            {map[string]string{"x": ""}, Writing{}, "capsule.yaml: no such file"},
		"bad manifest":           {with("capsule.yaml", testManifest+"zzz: 1\n"), Writing{}, `unknown key "zzz"`},
		"no program":             {with("capsule.yaml", strings.Replace(testManifest, "bin/fire", "bin/smoke", 1)), Writing{}, `the program "bin/smoke" is not there`},
		"a program left out":     {with(IgnoreName, "bin/"), Writing{}, `the program "bin/fire" is not there, or not packed`},
		"another name":           {fire(), Writing{Out: "fire.zip"}, "the name of a package ends with .cap"},
		"names that meet":        {with("license", "x"), Writing{}, `"LICENSE" and "license" are one file on some systems`},
		"a name for no system":   {with("what?", "x"), Writing{}, `"what?" has characters that are no part of a plain path`},
		"a bad pattern":          {with(IgnoreName, "*.go\n[a\n"), Writing{}, `.capignore:2: "[a" is no pattern`},
		"what gitignore can":     {with(IgnoreName, "!keep\n"), Writing{}, "is no pattern"},
		"a model of other bytes": {with("capsule.yaml", testManifest+"models: [{file: fire.bin, sha256: "+strings.Repeat("0", 63)+"a}]\n"), Writing{}, "the manifest's models say SHA-256 0000"},
		"a short passphrase":     {fire(), Writing{Passphrase: "1234567"}, "a passphrase of 7 bytes is guessed soon"},
		"too much work":          {fire(), Writing{Passphrase: "correct horse", WorkFactor: 31}, "work factor 31 is not within 1..20"},
		"no such platform":       {fire(), Writing{Programs: []manifest.Program{{Platform: "linux/amd64", Path: "bin/other"}}}, `the program "bin/other" is not there`},
		"too deep":               {with(strings.Repeat("d/", 40)+"x", "x"), Writing{}, "more than 32 folders deep"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if c.w.Out == "" {
				c.w.Out = "fire.cap"
			}
			c.w.Out = filepath.Join(dir, c.w.Out)
			_, err := Write(context.Background(), tree(t, c.files), c.w)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %s", err, c.want)
			}
			onlyFiles(t, dir)
		})
	}
}

func TestWriteRefusesLinks(t *testing.T) {
	t.Parallel()
	dir := tree(t, fire())
	if err := os.Symlink("LICENSE", filepath.Join(dir, "LICENCE")); err != nil {
		t.Skip(err)
	}
	if _, err := Write(context.Background(), dir, Writing{Out: filepath.Join(t.TempDir(), "x.cap")}); err == nil || !strings.Contains(err.Error(), "it is a link") {
		t.Errorf("got %v", err)
	}
}

func TestWriteLargeFile(t *testing.T) {
	t.Parallel()
	dir := tree(t, fire())
	if err := os.Truncate(filepath.Join(dir, "models", "fire.bin"), manifest.MaxFileSize+1); err != nil { // sparse
		t.Skip(err)
	}
	if _, err := Write(context.Background(), dir, Writing{Out: filepath.Join(t.TempDir(), "x.cap")}); err == nil || !strings.Contains(err.Error(), "more than 2147483648") {
		t.Errorf("got %v", err)
	}
}

// A package that was there stays when the new one cannot be made.
func TestWriteReplacesWhole(t *testing.T) {
	t.Parallel()
	path, _ := packed(t, fire(), Writing{})
	before := readFile(t, path)
	bad := fire()
	bad["License"] = "another"
	if _, err := Write(context.Background(), tree(t, bad), Writing{Out: path}); err == nil {
		t.Fatal("it was written")
	}
	if !bytes.Equal(readFile(t, path), before) {
		t.Error("the old package is gone")
	}
	onlyFiles(t, filepath.Dir(path), "fire.cap")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Write(ctx, tree(t, fire()), Writing{Out: path}); core.KindOf(err) != core.Cancelled {
		t.Errorf("given up: %v", err)
	}
}

// elfFor gives the least that is an ELF program of a machine.
func elfFor(machine byte) string {
	b := make([]byte, 64)
	copy(b, "\x7fELF\x02\x01\x01")
	b[16], b[18], b[20] = 2, machine, 1
	b[52] = 64
	return string(b)
}

func TestPlatforms(t *testing.T) {
	t.Parallel()
	const amd64, arm64 = 62, 183
	entry := func(text string) string { return strings.Replace(testManifest, "entry: bin/fire", "entry: "+text, 1) }
	for name, c := range map[string]struct {
		manifest string
		programs []manifest.Program
		want     string // platform=path …, or part of the error
	}{
		"a binary as text":    {entry("bin/amd"), nil, "linux/amd64=bin/amd"},
		"a script":            {entry("bin/fire"), nil, "any=bin/fire"},
		"Python":              {entry("main.py"), nil, "any=main.py"},
		"each its own":        {entry("{linux/amd64: bin/amd, linux/arm64: ./bin/arm, any: main.py}"), nil, "linux/amd64=bin/amd linux/arm64=bin/arm any=main.py"},
		"the wrong one":       {entry("{linux/amd64: bin/arm}"), nil, "it is built for linux/arm64 and stands for linux/amd64"},
		"a binary for any":    {entry("{linux/amd64: bin/amd, any: bin/arm}"), nil, "it is built for linux/arm64 and stands for any"},
		"of the command line": {entry("bin/fire"), []manifest.Program{{Platform: "linux/arm64", Path: "bin/arm"}}, "linux/arm64=bin/arm"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := tree(t, map[string]string{"capsule.yaml": c.manifest, "bin/fire": "#!/bin/sh\n", "bin/amd": elfFor(amd64), "bin/arm": elfFor(arm64), "main.py": "x\n"})
			w, err := Write(context.Background(), dir, Writing{Out: filepath.Join(t.TempDir(), "x.cap"), Programs: c.programs})
			var got []string
			for _, p := range w.Manifest.Programs {
				got = append(got, p.Platform+"="+p.Path)
			}
			text := strings.Join(got, " ")
			if err != nil {
				text = err.Error()
			}
			if err == nil && text != c.want || err != nil && !strings.Contains(text, c.want) {
				t.Errorf("got %s", text)
			}
			for _, f := range w.Manifest.Files {
				if strings.HasPrefix(f.Path, "bin/") && slices.Contains(got, "linux/amd64="+f.Path) != f.Executable && f.Path == "bin/amd" {
					t.Errorf("%s executable: %v", f.Path, f.Executable)
				}
			}
		})
	}
}

// crafted makes a zip by hand: names and texts, in order.
func crafted(t testing.TB, parts ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(parts); i += 2 {
		h := header(parts[i], false)
		h.CRC32, h.CompressedSize64, h.UncompressedSize64 = crc32.ChecksumIEEE([]byte(parts[i+1])), uint64(len(parts[i+1])), uint64(len(parts[i+1]))
		w, err := z.CreateRaw(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, parts[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func fileLine(path, text string) string {
	sum := sha256.Sum256([]byte(text))
	return fmt.Sprintf("- {path: %q, size: %d, sha256: %q}\n", path, len(text), hex.EncodeToString(sum[:]))
}

func readBytes(data []byte) (*Package, error) {
	return Read(bytes.NewReader(data), int64(len(data)), "x.cap", func() (string, error) { return "", nil })
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	good := testManifest + "files:\n" + fileLine("bin/fire", "go")
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"no zip":                  {[]byte(strings.Repeat("x", 100)), "it is neither a zip nor an encrypted package (it may be a package of the older Python format"},
		"no manifest":             {crafted(t, "bin/fire", "go"), "it has no capsule.yaml"},
		"the older format":        {crafted(t, "capsule.py", "", "meta.conf", ""), "it has no capsule.yaml (it may be a package of the older Python format"},
		"manifest in a folder":    {crafted(t, "x/capsule.yaml", good, "bin/fire", "go"), "it has no capsule.yaml"},
		"bad manifest":            {crafted(t, "capsule.yaml", "name: x\n", "bin/fire", "go"), `capsule.yaml:1:1: key "version" is missing`},
		"too large a manifest":    {crafted(t, "capsule.yaml", good+strings.Repeat("# x\n", 1<<18), "bin/fire", "go"), "more than 1048576"},
		"a file that is missing":  {crafted(t, "capsule.yaml", good+fileLine("LICENSE", "x"), "bin/fire", "go"), `"LICENSE" is listed in capsule.yaml and not there`},
		"a file too many":         {crafted(t, "capsule.yaml", good, "bin/fire", "go", "evil.py", ""), `"evil.py" is there and not listed`},
		"another size":            {crafted(t, "capsule.yaml", good, "bin/fire", "gone"), `"bin/fire" has 4 bytes, and capsule.yaml says 2`},
		"no program":              {crafted(t, "capsule.yaml", strings.Replace(good, "entry: bin/fire", "entry: bin/smoke", 1), "bin/fire", "go"), `the program for any, "bin/smoke", is not in it`},
		"a program less":          {crafted(t, "capsule.yaml", strings.Replace(good, "entry: bin/fire", "entry: {any: bin/fire, linux/arm64: bin/a}", 1), "bin/fire", "go"), `the program for linux/arm64, "bin/a", is not in it`},
		"listed twice":            {crafted(t, "capsule.yaml", good+fileLine("bin/fire", "go"), "bin/fire", "go"), `lists "bin/fire" twice`},
		"lists the manifest":      {crafted(t, "capsule.yaml", good+fileLine("capsule.yaml", "x"), "bin/fire", "go"), `lists "capsule.yaml", which it cannot`},
		"lists what leaves":       {crafted(t, "capsule.yaml", good+fileLine("../x", "x"), "bin/fire", "go"), `files[1].path: "../x" may leave the folder`},
		"no files":                {crafted(t, "capsule.yaml", testManifest, "bin/fire", "go"), `"bin/fire" is there and not listed`},
		"an empty signature":      {crafted(t, "capsule.yaml", good, "bin/fire", "go", "capsule.sig", ""), "capsule.sig has 0 signatures"},
		"no signature":            {crafted(t, "capsule.yaml", good, "bin/fire", "go", "capsule.sig", "ed25519 AAAA AAAA\n"), "capsule.sig has a line that is no signature"},
		"a signature of nobody":   {crafted(t, "capsule.yaml", good, "bin/fire", "go", "capsule.sig", "ed25519 "+strings.Repeat("A", 43)+"= "+strings.Repeat("A", 86)+"==\n"), "it was changed after it was signed"},
		"encrypted by a stranger": {[]byte("age-encryption.org/v1\n-> X25519 abc\nabc\n--- abc\n" + strings.Repeat("x", 100)), "it is encrypted (give the passphrase in CAPSTAN_CAPSULE_KEY"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := readBytes(c.data)
			if err == nil || p != nil || !strings.HasPrefix(err.Error(), "package: x.cap: ") || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
	if _, err := readBytes(crafted(t, "capsule.yaml", good, "bin/fire", "go")); err != nil {
		t.Errorf("the good one: %v", err)
	}
}

// A file with the right size and other bytes is found out when it is read, before it is used.
func TestDigestsDisagree(t *testing.T) {
	t.Parallel()
	p, err := readBytes(crafted(t, "capsule.yaml", testManifest+"files:\n"+fileLine("bin/fire", "go"), "bin/fire", "no"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Verify(context.Background(), nil); err == nil || !strings.Contains(err.Error(), `x.cap: "bin/fire" has SHA-256 `) {
		t.Errorf("verify: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "out")
	if err := p.Extract(context.Background(), dir, nil); err == nil || !strings.Contains(err.Error(), `x.cap: "bin/fire" has SHA-256 `) {
		t.Errorf("extract: %v", err)
	}
	onlyFiles(t, filepath.Dir(dir))
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	if _, err := Open(filepath.Join(t.TempDir(), "none.cap"), nil); core.KindOf(err) != core.NotFound {
		t.Errorf("not there: %v", err)
	}
	if _, err := Open(t.TempDir(), nil); core.KindOf(err) != core.Invalid {
		t.Errorf("a folder: %v", err)
	}
}

// FuzzRead: whatever the bytes are, reading ends with a package or a fault, a package gives no
// more than it says, and nothing lands outside of its folder.
func FuzzRead(f *testing.F) {
	path, _ := packed(f, map[string]string{"capsule.yaml": testManifest, "bin/fire": "#!/bin/sh\n", "LICENSE": strings.Repeat("You may. ", 50)}, Writing{})
	k, err := NewKey()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(readFile(f, path))
	if _, err := Sign(context.Background(), path, k, nil, nil); err != nil {
		f.Fatal(err)
	}
	f.Add(readFile(f, path))
	f.Add(crafted(f, "capsule.yaml", testManifest+"files:\n"+fileLine("bin/fire", "go"), "bin/fire", "go"))
	f.Add(crafted(f, "capsule.py", "", "meta.conf", "[about]\n"))
	f.Add([]byte("age-encryption.org/v1\n-> scrypt AAAA 18\nAAAA\n--- AAAA\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := readBytes(data)
		if err != nil {
			if core.KindOf(err) == core.Unknown {
				t.Fatalf("an error that is no fault: %v", err)
			}
			return
		}
		parent := t.TempDir()
		dir := filepath.Join(parent, "out")
		whole := p.Verify(context.Background(), nil)
		made := p.Extract(context.Background(), dir, nil)
		if (whole == nil) != (made == nil) {
			t.Fatalf("verify: %v, extract: %v", whole, made)
		}
		if made != nil {
			onlyFiles(t, parent)
			return
		}
		onlyFiles(t, parent, "out")
		if err := p.Matches(dir); err != nil {
			t.Fatal(err)
		}
	})
}
