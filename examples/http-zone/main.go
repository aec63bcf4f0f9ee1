// Command http-zone draws a zone on a stream of a running server (capstan serve), adds an alarm to
// it, and tells who is within and what the alarm says. The picture of an alert, with boxes, is saved.
//
//	export CAPSTAN=http://127.0.0.1:8080 PASSWORD=…   # of admin; or TOKEN=cap_…
//	go run ./examples/http-zone -stream 1 -name desk 500,0 960,0 960,540 500,540
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
	stream := flag.Int64("stream", 1, "the ID of the stream")
	name := flag.String("name", "zone", "what the zone is called")
	class := flag.String("class", "face", "what the alarm looks for")
	most := flag.Int("alerts", 0, "end after so many alerts have ended; 0: on Ctrl-C")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := draw(ctx, os.Stdout, *stream, *name, *class, flag.Args())
	if err == nil {
		err = follow(ctx, os.Stdout, *stream, *name, *class, *most)
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// draw adds a zone (two corners: a line), and an alarm that is on while something is in it.
func draw(ctx context.Context, out io.Writer, stream int64, name, class string, corners []string) error {
	coords := make([][2]float64, len(corners)) // pixels of the frame
	for i, c := range corners {
		if _, err := fmt.Sscanf(c, "%f,%f", &coords[i][0], &coords[i][1]); err != nil {
			return fmt.Errorf("corner %q: want X,Y", c)
		}
	}
	var zone, alarm struct{ ID int64 }
	if err := call(ctx, "POST", "/zones", map[string]any{"stream": stream, "name": name, "coords": coords}, &zone); err != nil {
		return err
	}
	objects := map[string]any{"class": class, "anchor": "center"}
	in := map[string]any{"zone": zone.ID, "name": class + " in " + name, "counts": []any{map[string]any{"objects": objects, "test": ">", "value": 0}}}
	if err := call(ctx, "POST", "/alarms", in, &alarm); err != nil {
		return err
	}
	fmt.Fprintf(out, "zone %d, alarm %d\n", zone.ID, alarm.ID)
	return nil
}

type alert struct {
	ID    int64
	Start time.Time
	End   *time.Time
}

// result is what the example reads of a result of the stream.
type result struct {
	Ended []alert // whose end stood in results that went by while we were busy
	Zones []struct {
		Name   string
		Within []struct {
			Class string `json:"class_name"`
		}
		Alerts []alert
	}
}

// of gives how many of a class are within the zone, and its alerts, with those of other zones whose
// end went by; seen says whether the result tells of the zone.
func (r result) of(name, class string) (within int, alerts []alert, seen bool) {
	alerts = r.Ended
	for _, z := range r.Zones {
		if z.Name != name {
			continue
		}
		seen = true
		for _, object := range z.Within {
			if object.Class == class {
				within++
			}
		}
		alerts = append(alerts, z.Alerts...)
	}
	return within, alerts, seen
}

// follow tells how many of the class are within whenever that changes, and of each alert once when it begins and
// once when it ends.
func follow(ctx context.Context, out io.Writer, stream int64, name, class string, most int) error {
	answer, err := ask(ctx, "GET", fmt.Sprintf("/streams/%d/results", stream), nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 16<<20)
	within, open := -1, map[int64]bool{}
	for lines.Scan() {
		text, ok := strings.CutPrefix(lines.Text(), "data: ")
		var r result
		if !ok || json.Unmarshal([]byte(text), &r) != nil {
			continue
		}
		n, alerts, seen := r.of(name, class)
		if seen && n != within {
			within = n
			fmt.Fprintln(out, "within:", n)
		}
		for _, a := range alerts {
			ended, err := tell(ctx, out, a, open)
			if err != nil {
				return err
			}
			if ended {
				if most--; most == 0 {
					return nil
				}
			}
		}
	}
	return cmp.Or(lines.Err(), io.ErrUnexpectedEOF)
}

// tell saves the picture of an alert that begins. It says whether the alert has ended.
func tell(ctx context.Context, out io.Writer, a alert, open map[int64]bool) (ended bool, err error) {
	if a.End != nil && open[a.ID] {
		delete(open, a.ID)
		fmt.Fprintf(out, "alert %d ended after %.1f s\n", a.ID, a.End.Sub(a.Start).Seconds())
		return true, nil
	}
	if a.End != nil || open[a.ID] {
		return false, nil
	}
	open[a.ID] = true
	var picture []byte
	if err := call(ctx, "GET", fmt.Sprintf("/alerts/%d/frame?boxes=true", a.ID), nil, &picture); err != nil {
		return false, err
	}
	file := fmt.Sprintf("alert-%d.jpg", a.ID)
	fmt.Fprintf(out, "alert %d began at %s: %s\n", a.ID, a.Start.Format(time.TimeOnly), file)
	return false, os.WriteFile(file, picture, 0o600)
}

// call asks the server and reads the answer into out: bytes as they are, anything else by JSON.
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
	if raw, ok := out.(*[]byte); ok {
		*raw, err = io.ReadAll(answer.Body)
		return err
	}
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
