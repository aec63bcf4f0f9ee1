// Command http-person enrols a person from a photo with one face on a running server (capstan
// serve), and waits until a stream shows the person. The server needs capsules that find and encode
// faces; they are there where their models are (capstan models pull, make onnxruntime).
//
//	export CAPSTAN=http://127.0.0.1:8080 PASSWORD=…   # of admin; or TOKEN=cap_…
//	go run ./examples/http-person -name ada-1 -nickname Ada photo.jpg
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
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
	name := flag.String("name", "", "the person's unique name")
	nickname := flag.String("nickname", "", "what the person is called")
	wait := flag.Duration("wait", time.Minute, "how long to wait for the person on a stream; 0: not at all")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := enrol(ctx, os.Stdout, *name, *nickname, flag.Arg(0))
	if err == nil && *wait > 0 {
		ctx, cancel := context.WithTimeout(ctx, *wait)
		defer cancel()
		err = seen(ctx, os.Stdout, *name)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// enrol uploads the photo and makes the person known by the one face on it. A photo that will not do
// leaves nothing behind.
func enrol(ctx context.Context, out io.Writer, name, nickname, photo string) (err error) {
	picture, err := os.ReadFile(photo)
	if err != nil {
		return err
	}
	var file, person struct{ ID int64 }
	if err := call(ctx, "POST", "/blobs", picture, &file); err != nil {
		return err
	}
	undo := func(path string, id int64) {
		if err != nil {
			err = errors.Join(err, call(context.WithoutCancel(ctx), "DELETE", fmt.Sprintf("%s/%d", path, id), nil, nil))
		}
	}
	defer func() { undo("/blobs", file.ID) }()
	if err := call(ctx, "POST", "/identities", map[string]any{"unique_name": name, "nickname": nickname}, &person); err != nil {
		return err
	}
	defer func() { undo("/identities", person.ID) }()
	var vector struct {
		Encoder string
		Values  []float64
	}
	if err := call(ctx, "POST", fmt.Sprintf("/identities/%d/images", person.ID), map[string]any{"class": "face", "blob": file.ID}, &vector); err != nil {
		return err
	}
	fmt.Fprintf(out, "person %d: %d values by %s\n", person.ID, len(vector.Values), vector.Encoder)
	return nil
}

// seen waits for the person in the results of all streams.
func seen(ctx context.Context, out io.Writer, name string) error {
	answer, err := ask(ctx, "GET", "/results", nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		text, ok := strings.CutPrefix(lines.Text(), "data: ")
		var result struct {
			Stream int64
			Zones  []struct {
				Name   string
				Within []struct{ Identity string }
			}
		}
		if !ok || json.Unmarshal([]byte(text), &result) != nil {
			continue
		}
		for _, z := range result.Zones {
			for _, object := range z.Within {
				if object.Identity == name {
					fmt.Fprintf(out, "%s is on stream %d, in the zone %q\n", name, result.Stream, z.Name)
					return nil
				}
			}
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s was not seen on any stream: %w", name, ctx.Err())
	}
	return cmp.Or(lines.Err(), io.ErrUnexpectedEOF)
}

// call asks the server and reads its JSON into out unless that is nil. Bytes are sent as they are,
// anything else as JSON.
func call(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	body, ok := in.([]byte)
	if !ok {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	answer, err := ask(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if out == nil {
		return nil
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
