package confine

import (
	"strings"
	"testing"
)

func TestHint(t *testing.T) {
	t.Parallel()
	for words, want := range map[string]string{
		"dial tcp 10.0.0.1:80: socket: operation not permitted":       "needs: network",
		"lookup example.com: dial udp: permission denied":             "needs: network",
		"fork/exec /bin/true: operation not permitted":                "needs: processes",
		"open /etc/shadow: permission denied":                         "needs: files",
		"PermissionError: [Errno 13] Permission denied: '/srv/x.txt'": "needs: files",
		"fatal error: runtime: cannot allocate memory":                "needs: memory",
		"terminate called after throwing std::bad_alloc":              "needs: memory",
		"write /tmp/x: file too large":                                "needs: files",
		"SIGXFSZ: file size limit exceeded":                           "needs: files",
		"open faces.bin: no such file or directory":                   "",
		"index out of range":                                          "",
		"":                                                            "",
	} {
		got := Hint(words)
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", words, got, want)
		}
	}
}

func TestAllows(t *testing.T) {
	t.Parallel()
	c := Cage{Read: []string{"/srv/maps", "/srv/capsule/"}, Look: []string{"/models"}, Write: []string{"/out"}}
	for _, tt := range []struct {
		path        string
		read, write bool
	}{
		{"/srv/maps", true, false}, {"/srv/maps/a/b", true, false}, {"/srv/mapsx", false, false}, {"/srv/capsule/m.onnx", true, false},
		{"/models/x", true, false}, {"/out/x", true, true}, {"/usr/share/x", true, false}, {"/home/x", false, false}, {"/", false, false},
	} {
		if c.Allows(tt.path, false) != tt.read || c.Allows(tt.path, true) != tt.write {
			t.Errorf("%s: read %v, write %v", tt.path, c.Allows(tt.path, false), c.Allows(tt.path, true))
		}
	}
}

// Check names every part once, and each says by what or why not.
func TestCheck(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, p := range Check() {
		if p.Name == "" || p.How == "" || seen[p.Name] {
			t.Errorf("part %+v", p)
		}
		seen[p.Name] = true
	}
	if len(seen) == 0 {
		t.Error("nothing is said")
	}
	for _, m := range (&Cage{}).Missing() {
		if strings.HasPrefix(m, partPorts) || strings.HasPrefix(m, partCPU) {
			t.Errorf("a cage that asks for neither lacks %s", m)
		}
	}
}
