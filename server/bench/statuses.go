package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/pipelinetest"
	"github.com/capstan-video/capstan/server/dialects/brainframe"
)

// everybody is how many read statuses; the first one takes nothing.
const everybody = 500

// subscribers has a scripted camera of 30 frames a second with 20 objects, and 500 readers of the
// status stream, one of whom takes nothing. It counts what each of the others gets, and how long
// after the first reader the last one has a packet.
func subscribers(s settings) (_ []row, err error) {
	engine := pipeline.New(pipelinetest.Playing(pipelinetest.Script{Frames: 1 << 30, Every: time.Second / 30, Live: true}), hclog.NewNullLogger())
	crowd := core.Declaration{Name: "detector_crowd", Version: "1", API: "1.0", Entry: "detector", Input: core.Description{Size: core.SizeNone}, Output: core.Description{Size: core.SizeAll, Detections: []string{"person"}}}
	if err := engine.Add(&pipelinetest.Capsule{Decl: crowd, ProcessFunc: pipelinetest.Finding(people)}); err != nil {
		return nil, err
	}
	dir := filepath.Join(s.work, fmt.Sprintf("statuses-%d", os.Getpid()))
	defer os.RemoveAll(dir)
	svc, closeAll, err := newService(dir, engine, engine.Close)
	if err != nil {
		return nil, err
	}
	server := httptest.NewServer(brainframe.New(svc, hclog.NewNullLogger(), brainframe.Options{}))
	defer func() { err = errors.Join(err, closeAll()); server.Close() }()
	cfg, err := svc.SaveStream(context.Background(), admin, core.StreamConfig{Name: "crowd", Connection: core.Connection{Kind: core.IPCamera, URL: "rtsp://scripted/1"}})
	if err != nil {
		return nil, err
	}
	if err := svc.Analyze(context.Background(), admin, cfg.Number, true); err != nil {
		return nil, err
	}
	got, err := readAll(server.Listener.Addr().String(), s.seconds)
	if err != nil {
		return nil, err
	}
	r, err := judge(got, s.seconds)
	return []row{r}, err
}

// people are 20 who walk.
func people(seq uint64) []*core.Node {
	list := make([]*core.Node, 20)
	for i := range list {
		x := float64((int(seq) + 3*i) % 60)
		list[i] = &core.Node{Class: "person", Coords: core.Rect(x-2, 10, x+2, 40)}
	}
	return list
}

// readAll opens a connection for everybody and gives when each packet came, by reader.
func readAll(address string, length time.Duration) ([][]time.Time, error) {
	got := make([][]time.Time, everybody)
	errs := make([]error, everybody)
	connections := make([]net.Conn, everybody)
	for i := range connections {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return nil, err
		}
		defer func() { _ = c.Close() }()
		if _, err := io.WriteString(c, "GET /api/streams/statuses HTTP/1.1\r\nHost: server\r\n\r\n"); err != nil {
			return nil, err
		}
		connections[i] = c
	}
	time.Sleep(time.Second) // until all of them are answered
	from := time.Now().Add(settle)
	until := from.Add(length)
	var wg sync.WaitGroup
	for i, c := range connections[1:] {
		wg.Go(func() { got[i+1], errs[i+1] = packets(c, from, until) })
	}
	wg.Wait()
	return got[1:], errors.Join(errs...)
}

// settle is for what has waited in the connections.
const settle = 500 * time.Millisecond

// packets gives when the ends of packets came, after from.
func packets(c net.Conn, from, until time.Time) (at []time.Time, err error) {
	if err := c.SetReadDeadline(until); err != nil {
		return nil, err
	}
	buffer := make([]byte, 64<<10)
	for {
		n, err := c.Read(buffer)
		now := time.Now()
		for range bytes.Count(buffer[:n], []byte("}\r\n")) {
			if now.After(from) {
				at = append(at, now)
			}
		}
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			return at, nil
		}
		if err != nil {
			return at, err
		}
	}
}

// judge looks at how many packets the slowest reader got, and at the longest pause of anybody.
func judge(got [][]time.Time, length time.Duration) (row, error) {
	fewest, pauses := int(1e9), []time.Duration{}
	for _, at := range got {
		fewest = min(fewest, len(at))
		for i := 1; i < len(at); i++ {
			pauses = append(pauses, at[i].Sub(at[i-1]))
		}
	}
	if fewest < 2 {
		return row{}, fmt.Errorf("a reader got %d packets", fewest)
	}
	slices.Sort(pauses)
	rate, p99 := float64(fewest)/length.Seconds(), quantile(pauses, 0.99)
	return row{"packets a second to each of 499 readers of statuses, beside one who takes nothing", "30",
		fmt.Sprintf("%.1f to the slowest; between two packets p99 %.0f ms, at most %.0f ms", rate, ms(p99), ms(pauses[len(pauses)-1])),
		met(rate >= 0.95*30 && p99 <= 100*time.Millisecond)}, nil
}
