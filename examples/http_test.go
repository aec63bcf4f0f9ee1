// Package examples has the programs that show how Capstan is used, and the tests that run those that
// speak HTTP as their README says, against a server.
package examples

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/capstan-video/capstan/sdk/onnx/files"
)

const (
	root     = ".."
	password = "a test's own"
	person   = "../server/demo/person.jpg" // one face
)

// camera gives Motion JPEG at 15 pictures a second: a face that comes for two seconds and is away
// for one.
func camera(t *testing.T) string {
	t.Helper()
	f, err := os.Open(person)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	face, err := jpeg.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	var pictures [45]bytes.Buffer
	for i := range pictures {
		img := image.NewRGBA(image.Rect(0, 0, 640, 480))
		draw.Draw(img, img.Bounds(), image.NewUniform(color.Gray{Y: 128}), image.Point{}, draw.Src)
		if i < 30 {
			at := image.Pt(20+4*i, 40)
			draw.Draw(img, face.Bounds().Sub(face.Bounds().Min).Add(at), face, face.Bounds().Min, draw.Src)
		}
		if err := jpeg.Encode(&pictures[i], img, nil); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=picture")
		tick := time.NewTicker(time.Second / 15)
		defer tick.Stop()
		for i := 0; ; i++ {
			p := pictures[i%len(pictures)].Bytes()
			fmt.Fprintf(w, "--picture\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n", len(p), p)
			if http.NewResponseController(w).Flush() != nil {
				return
			}
			select {
			case <-done:
				return
			case <-r.Context().Done():
				return
			case <-tick.C:
			}
		}
	}))
	t.Cleanup(func() { close(done); server.Close() })
	return server.URL + "/camera.mjpg"
}

// built builds the program, some capsules and the examples over HTTP.
func built(t *testing.T, capsules ...string) string {
	t.Helper()
	dir := t.TempDir()
	paths := []string{"./server/cmd/capstan", "./examples/http-camera", "./examples/http-zone", "./examples/http-webhook", "./examples/http-person"}
	for _, c := range capsules {
		paths = append(paths, "./capsules/"+c)
	}
	cmd := exec.Command("go", append([]string{"build", "-o", dir}, paths...)...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, c := range capsules {
		to := filepath.Join(dir, "capsules", c)
		text, err := os.ReadFile(filepath.Join(root, "capsules", c, "capsule.yaml"))
		err = errors.Join(err, os.MkdirAll(to, 0o755), os.WriteFile(filepath.Join(to, "capsule.yaml"), text, 0o600), os.Rename(filepath.Join(dir, c), filepath.Join(to, c)))
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// serve starts the built program and gives its address.
func serve(t *testing.T, dir string) string {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.Command(filepath.Join(dir, "capstan"), "serve", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--events-allow-local", "--admission-mode", "off")
	cmd.Env, cmd.Stderr = append(os.Environ(), "CAPSTAN_ADMIN_PASSWORD="+password), &log
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines, rest := bufio.NewScanner(out), sync.WaitGroup{}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		rest.Wait()
		if err := cmd.Wait(); err != nil || !kill.Stop() {
			t.Errorf("the server ended by %v\n%s", err, log.String())
		}
	})
	for lines.Scan() {
		if _, url, ok := strings.Cut(lines.Text(), "capstan answers at "); ok {
			rest.Go(func() { _, _ = io.Copy(io.Discard, out) })
			return url
		}
	}
	t.Fatalf("it does not say where it answers\n%s", log.String())
	return ""
}

// get asks the server and reads its JSON; status says what it answered.
func get(t *testing.T, method, url, body string, out any) (status int) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("admin", password)
	r.Close = true
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if out != nil {
		if err := json.NewDecoder(answer.Body).Decode(out); err != nil {
			t.Fatal(err)
		}
	}
	return answer.StatusCode
}

// freePort gives an address that nothing listened on a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// world is a server with a camera that can be added.
type world struct {
	dir, url, camera, token string
	faces                   bool // persons can be enrolled
}

// run runs an example to its end in a folder of its own and gives what it prints. meanwhile, unless
// nil, runs beside it.
func (w *world) run(t *testing.T, meanwhile func(), command ...string) (out, dir string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir, cmd.Env = t.TempDir(), append(os.Environ(), "CAPSTAN="+w.url, "PYTHONDONTWRITEBYTECODE=1")
	if strings.HasSuffix(command[0], "python3") {
		cmd.Env = append(cmd.Env, "PASSWORD="+password)
	} else {
		cmd.Env = append(cmd.Env, "TOKEN="+w.token)
	}
	var both bytes.Buffer
	cmd.Stdout, cmd.Stderr = &both, &both
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if meanwhile != nil {
		meanwhile()
	}
	err = cmd.Wait()
	return both.String(), cmd.Dir, err
}

// commands gives an example in Go and in Python.
func (w *world) commands(t *testing.T, name string, inGo, inPython []string) map[string][]string {
	script, err := filepath.Abs(filepath.Join(name, "main.py"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{"go": append([]string{filepath.Join(w.dir, name)}, inGo...)}
	if _, err := os.Stat("/usr/bin/python3"); err == nil {
		all["python"] = append([]string{"/usr/bin/python3", script}, inPython...)
	}
	return all
}

// prints runs an example and wants its output to match.
func (w *world) prints(t *testing.T, want string, command []string) (dir string) {
	t.Helper()
	out, dir, err := w.run(t, nil, command...)
	if err != nil || !regexp.MustCompile(`(?s)^`+want+`$`).MatchString(out) {
		t.Fatalf("%v: it printed\n%s\nwant %s", err, out, want)
	}
	return dir
}

func TestHTTP(t *testing.T) {
	capsules := []string{"detector_face_pigo", "tracker_bytetrack"}
	models := os.Getenv("CAPSTAN_TESTDATA")
	if models == "" {
		models = filepath.Join(root, "..", "shared", "data")
	}
	w := &world{camera: camera(t)}
	if _, err := os.Stat(filepath.Join(models, "models")); err == nil {
		if models, err = filepath.Abs(filepath.Join(models, "models")); err != nil {
			t.Fatal(err)
		}
		t.Setenv(files.ModelsEnv, models)
		if _, err = files.Runtime(""); err == nil {
			w.faces, capsules = true, []string{"detector_face_yunet", "encoder_face_mobilefacenet", "tracker_bytetrack"}
		}
	}
	w.dir = built(t, capsules...)
	w.url = serve(t, w.dir)
	var token struct{ Secret string }
	if status := get(t, "POST", w.url+"/capstan/v1/tokens", `{"name": "examples", "role": "admin"}`, &token); status != http.StatusCreated {
		t.Fatalf("a token: %d", status)
	}
	w.token = token.Secret
	t.Run("camera", w.cameras)
	t.Run("zone", w.zones)
	t.Run("webhook", w.webhooks)
	t.Run("person", w.persons)
	t.Run("refused", w.refused)
}

func (w *world) cameras(t *testing.T) {
	for language, command := range w.commands(t, "http-camera", []string{"-name", "in go", "-n", "3", w.camera + "?go"}, []string{"in python", w.camera + "?python", "3"}) {
		t.Run(language, func(t *testing.T) {
			w.prints(t, `stream \d+\n(connecting *\n)?running *\n(\d+\.\d\d s:[^\n]* face[^\n]*\n){3}`, command)
		})
	}
	var list struct{ Items []struct{ Name string } }
	get(t, "GET", w.url+"/capstan/v1/streams", "", &list)
	if len(list.Items) == 0 || !strings.HasPrefix(list.Items[0].Name, "in ") {
		t.Errorf("the streams are %v", list.Items)
	}
}

func (w *world) zones(t *testing.T) {
	corners := []string{"0,0", "640,0", "640,480", "0,480"}
	inGo := append([]string{"-stream", "1", "-name", "desk", "-alerts", "1"}, corners...)
	inPython := append([]string{"1", "table", "face", "1"}, corners...)
	for language, command := range w.commands(t, "http-zone", inGo, inPython) {
		t.Run(language, func(t *testing.T) {
			dir := w.prints(t, `zone \d+, alarm \d+\n.*alert \d+ began at \S+: alert-\d+.jpg\n.*alert \d+ ended .*`, command)
			pictures, err := filepath.Glob(filepath.Join(dir, "alert-*.jpg"))
			if err != nil || len(pictures) == 0 {
				t.Fatalf("pictures: %v %v", pictures, err)
			}
			f, err := os.Open(pictures[0])
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if img, err := jpeg.DecodeConfig(f); err != nil || img.Width != 640 || img.Height != 480 {
				t.Errorf("the picture of the alert: %dx%d, %v", img.Width, img.Height, err)
			}
		})
	}
}

func (w *world) webhooks(t *testing.T) {
	addresses := []string{freePort(t), freePort(t)}
	_, port, _ := net.SplitHostPort(addresses[1])
	for language, command := range w.commands(t, "http-webhook", []string{"-listen", addresses[0], "-n", "3", "-events", "alert,stream"}, []string{port, "alert,stream", "3"}) {
		t.Run(language, func(t *testing.T) {
			url, forged := "http://"+addresses[map[string]int{"go": 0, "python": 1}[language]], 0
			out, _, err := w.run(t, func() { forged = forge(t, url) }, command...)
			if err != nil || strings.Count(out, "\n") != 3 || strings.Count(out, "capstan.test") != 1 || !strings.Contains(out, "capstan.alert.") || strings.Contains(out, "forged") {
				t.Errorf("%v: it printed\n%s", err, out)
			}
			if forged != http.StatusUnauthorized {
				t.Errorf("a forged event was answered by %d", forged)
			}
		})
	}
	var left struct{ Items []any }
	if get(t, "GET", w.url+"/capstan/v1/destinations", "", &left); len(left.Items) != 0 {
		t.Errorf("destinations are left: %v", left.Items)
	}
}

// forge posts an event whose signature is wrong, as soon as somebody listens.
func forge(t *testing.T, url string) int {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(`{"id": "1", "type": "forged"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("webhook-id", "1")
		r.Header.Set("webhook-timestamp", fmt.Sprint(time.Now().Unix()))
		r.Header.Set("webhook-signature", "v1,AAAA")
		answer, err := http.DefaultClient.Do(r)
		if err == nil {
			_ = answer.Body.Close()
			return answer.StatusCode
		}
		if time.Now().After(end) {
			t.Error(err)
			return 0
		}
	}
}

func (w *world) persons(t *testing.T) {
	if !w.faces {
		t.Skip("SKIPPED: nobody can be enrolled without ONNX Runtime and models")
	}
	photo, err := filepath.Abs(person)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{"go": "ada-1", "python": "ada-2"}
	for language, command := range w.commands(t, "http-person", []string{"-name", names["go"], photo}, []string{names["python"], photo}) {
		t.Run(language, func(t *testing.T) {
			w.prints(t, `person \d+: 128 values by encoder_face_mobilefacenet\S*\n`+names[language]+` is on stream \d+, in .*`, command)
		})
		// Two persons with one face: who is named is open. The next one is alone.
		var list struct{ Items []struct{ ID int64 } }
		get(t, "GET", w.url+"/capstan/v1/identities", "", &list)
		for _, who := range list.Items {
			get(t, "DELETE", fmt.Sprintf("%s/capstan/v1/identities/%d", w.url, who.ID), "", nil)
		}
	}
}

// refused holds what the examples say when the server refuses, and that nothing is left behind.
func (w *world) refused(t *testing.T) {
	blank := filepath.Join(t.TempDir(), "blank.jpg")
	f, err := os.Create(blank)
	if err == nil {
		err = errors.Join(jpeg.Encode(f, image.NewGray(image.Rect(0, 0, 320, 240)), nil), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		want    string
		command []string
	}{
		"no such stream": {"404 Not Found", []string{"http-zone", "-stream", "4711", "0,0", "9,0", "9,9"}},
		"no corner":      {`corner "x": want X,Y`, []string{"http-zone", "x"}},
		"no camera":      {"400 Bad Request", []string{"http-camera", "gate"}},
		"no face":        {"422 Unprocessable Entity", []string{"http-person", "-name", "nobody", blank}},
		"no webhook":     {"400 Bad Request", []string{"http-webhook", "-listen", "127.0.0.1:0", "-url", "nonsense"}},
	} {
		out, _, err := w.run(t, nil, append([]string{filepath.Join(w.dir, c.command[0])}, c.command[1:]...)...)
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	var left struct {
		Items []struct {
			Name string `json:"unique_name"`
		}
	}
	get(t, "GET", w.url+"/capstan/v1/identities", "", &left)
	if slices.ContainsFunc(left.Items, func(i struct {
		Name string `json:"unique_name"`
	}) bool {
		return i.Name == "nobody"
	}) {
		t.Error("a person whose photo was refused is left")
	}
}
