package events_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/events"
)

const reference = "../../docs/reference/"

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	s, err := c.Compile(filepath.FromSlash(reference + "events.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// hold holds an event against the schema.
func hold(s *jsonschema.Schema, body []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

// TestAsDocumented writes an event of each kind, and holds what is told against the schema, and the
// document against both.
func TestAsDocumented(t *testing.T) {
	t.Parallel()
	var in inbox
	w := newWorld(t, quick(), hook("site", receive(t, &in, nil).URL))
	at, yes, seconds := time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.FixedZone("", 3600)), true, 2.5
	utc := at.UTC()
	stream := events.Named{ID: 7, Name: "gate"}
	full := core.Alert{ID: 9, Start: at, End: at.Add(time.Second), Verified: &yes, Frame: 12}
	began := full
	began.End, began.Verified, began.Frame = time.Time{}, nil, 0
	d := events.DetectionData{Stream: stream, Class: "person", Track: "t", Began: utc, Box: [4]float64{1, 2, 3.5, 4}}
	ended := d
	ended.Ended, ended.Seconds, ended.Frames = &utc, &seconds, 3
	ended.Attributes, ended.Identity, ended.Zones = map[string]string{"color": "red"}, &events.Identity{ID: 1, UniqueName: "anna"}, []events.Named{{ID: 3, Name: "door"}}
	seen := d
	seen.Track = ""
	a := func(a core.Alert) events.AlertData {
		return events.AlertData{Stream: stream, Zone: events.Named{ID: 3}, Alarm: events.Named{ID: 4, Name: "ü \x00\u2028<b>"}, Alert: events.AlertOf(a), By: "eve", Reason: "deleted"}
	}
	data := map[string]any{
		events.AlertBegan: a(began), events.AlertEnded: a(full), events.AlertVerified: a(full),
		events.StreamRunning: events.StreamData{Stream: stream, State: "running"}, events.StreamFailed: events.StreamData{Stream: stream, State: "failed", Error: "cut"},
		events.DetectionBegan: d, events.DetectionEnded: ended, events.DetectionSeen: seen,
	}
	for _, kind := range events.Kinds {
		w.write(events.Event{Kind: kind, At: at, Stream: 7, Subject: "streams/7/alerts/9", Data: data[kind]})
	}
	w.empty("site")
	s := schema(t)
	list, _ := in.once(t)
	if len(list) != len(events.Kinds) {
		t.Fatalf("%d events came, want %d", len(list), len(events.Kinds))
	}
	text, err := os.ReadFile(reference + "events.md")
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range list {
		if m.kind != events.Kinds[i] {
			t.Errorf("event %d is %s, want %s", i, m.kind, events.Kinds[i])
		}
		if err := hold(s, []byte(m.body)); err != nil {
			t.Errorf("%s: %v\n%s", m.kind, err, m.body)
		}
		if !strings.Contains(string(text), "| `capstan."+m.kind+"` |") {
			t.Errorf("%s is not documented", m.kind)
		}
	}
	if err := w.Try(t.Context(), hook("x", receive(t, &in, nil).URL), "eve"); err != nil {
		t.Fatal(err)
	}
	all := in.all()
	if err := hold(s, []byte(all[len(all)-1].body)); err != nil {
		t.Errorf("test: %v", err)
	}
	example := string(text[bytes.Index(text, []byte(`    {"specversion"`)):])
	if err := hold(s, []byte(example[:strings.Index(example, "\n\n")])); err != nil {
		t.Errorf("the example of the document: %v", err)
	}
	// The schema can say no.
	for _, bad := range []string{`{}`, strings.Replace(all[0].body, `"end":null`, `"end":"x"`, 1), strings.Replace(all[0].body, "capstan.alert.began", "capstan.alert.gone", 1)} {
		if hold(s, []byte(bad)) == nil {
			t.Errorf("%s is as documented", bad)
		}
	}
}

var block = regexp.MustCompile("(?s)```(python|go)\n(.*?)```")

// TestReceivers runs the receivers of the document, and tells them something.
func TestReceivers(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(reference + "events.md")
	if err != nil {
		t.Fatal(err)
	}
	programs := map[string]string{}
	for _, m := range block.FindAllStringSubmatch(string(text), -1) {
		programs[m[1]] = m[2]
	}
	for language, build := range map[string]func(dir string) *exec.Cmd{
		"python": func(dir string) *exec.Cmd {
			return exec.Command("/usr/bin/python3", write(t, filepath.Join(dir, "receiver.py"), programs["python"]))
		},
		"go": func(dir string) *exec.Cmd {
			program := filepath.Join(dir, "receiver")
			if out, err := exec.Command("go", "build", "-o", program, write(t, filepath.Join(dir, "receiver.go"), programs["go"])).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			return exec.Command(program)
		},
	} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			if language == "python" {
				if _, err := os.Stat("/usr/bin/python3"); err != nil {
					t.Skip("there is no Python: its receiver is not tried")
				}
			}
			cmd := build(t.TempDir())
			port, heard := start(t, cmd)
			url := fmt.Sprintf("http://127.0.0.1:%s/", port)
			w := newWorld(t, quick(), hook("site", url))
			w.write(alert(1, 1), alert(1, 2))
			w.empty("site")
			until(t, "both are heard", func() bool { return strings.Count(heard(), `"type":"capstan.alert.`) == 2 })
			forged := hook("x", url)
			forged.Secret = events.NewSecret()
			if err := w.Try(t.Context(), forged, "mallory"); err == nil || !strings.Contains(err.Error(), "401") || strings.Contains(heard(), "mallory") {
				t.Errorf("what is not signed by the secret: %v", err)
			}
		})
	}
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if text == "" {
		t.Fatalf("the document has no program for %s", filepath.Base(path))
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// start starts a receiver on a free port, and waits until it answers; heard gives what it printed.
func start(t *testing.T, cmd *exec.Cmd) (port string, heard func() string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ = net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	var out output
	cmd.Env = append(os.Environ(), "SECRET="+secret, "PORT="+port)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	until(t, "the receiver answers", func() bool {
		answer, err := http.Get("http://127.0.0.1:" + port)
		if err == nil {
			_ = answer.Body.Close()
		}
		return err == nil
	})
	return port, out.String
}

// output keeps what a program prints.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
