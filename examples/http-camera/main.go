// Command http-camera adds a camera to a running server (capstan serve), waits until it gives
// pictures, and prints what is seen as it comes. It speaks HTTP alone.
//
//	export CAPSTAN=http://127.0.0.1:8080 PASSWORD=…   # of admin; or TOKEN=cap_…
//	go run ./examples/http-camera -name gate rtsp://user:password@10.0.0.7/1
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"
)

func main() {
	name := flag.String("name", "camera", "what the stream is called")
	most := flag.Int("n", 0, "end after so many results in which something is seen; 0: on Ctrl-C")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := watch(ctx, os.Stdout, *name, flag.Arg(0), *most); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// watch adds the camera and tells what it shows. The stream stays, and is analysed.
func watch(ctx context.Context, out io.Writer, name, url string, most int) error {
	var stream struct{ ID int64 }
	in := map[string]any{"name": name, "connection": map[string]any{"kind": "ip_camera", "url": url}, "analyze": true}
	if err := call(ctx, "POST", "/streams", in, &stream); err != nil {
		return err
	}
	fmt.Fprintf(out, "stream %d\n", stream.ID)
	if err := running(ctx, out, stream.ID); err != nil {
		return err
	}
	return follow(ctx, out, stream.ID, most)
}

// running waits until the camera gives pictures, and says what keeps it.
func running(ctx context.Context, out io.Writer, stream int64) error {
	for last := ""; ; time.Sleep(100 * time.Millisecond) {
		var is struct{ State, Error string }
		if err := call(ctx, "GET", fmt.Sprintf("/streams/%d/state", stream), nil, &is); err != nil {
			return err
		}
		if now := strings.TrimSpace(is.State + " " + is.Error); now != "" && now != last {
			fmt.Fprintln(out, now)
			last = now
		}
		if is.State == "running" {
			return nil
		}
	}
}

// follow prints what is seen, from the server-sent events of the stream.
func follow(ctx context.Context, out io.Writer, stream int64, most int) error {
	answer, err := ask(ctx, "GET", fmt.Sprintf("/streams/%d/results?detections=true", stream), nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 16<<20)
	for n := 0; lines.Scan(); {
		text, ok := strings.CutPrefix(lines.Text(), "data: ")
		var result struct {
			Frame struct {
				PTS        float64
				Detections []struct {
					Class string  `json:"class_name"`
					Track *string `json:"track_id"`
				}
			}
		}
		if !ok || json.Unmarshal([]byte(text), &result) != nil || len(result.Frame.Detections) == 0 {
			continue
		}
		fmt.Fprintf(out, "%.2f s:", result.Frame.PTS)
		for _, d := range result.Frame.Detections {
			fmt.Fprintf(out, " %s", d.Class)
			if d.Track != nil {
				fmt.Fprintf(out, " (track %s)", *d.Track)
			}
		}
		fmt.Fprintln(out)
		if n++; n == most {
			return nil
		}
	}
	return cmp.Or(lines.Err(), io.ErrUnexpectedEOF)
}

// call asks the server and reads the answer, JSON both, into out.
func call(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	answer, err := ask(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	return json.NewDecoder(answer.Body).Decode(out)
}

// ask sends a request. What the server refuses is an error that says why and what to do.
func ask(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, cmp.Or(os.Getenv("CAPSTAN"), "http://127.0.0.1:8080")+"/capstan/v1"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if token := os.Getenv("TOKEN"); token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	} else {
		r.SetBasicAuth("admin", os.Getenv("PASSWORD"))
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil || answer.StatusCode < 400 {
		return answer, err
	}
	defer answer.Body.Close()
	var problem struct{ Detail, Hint string }
	_ = json.NewDecoder(answer.Body).Decode(&problem)
	return nil, fmt.Errorf("%s %s: %s: %s %s", method, path, answer.Status, problem.Detail, problem.Hint)
}
