package host

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Bounds of what a capsule may print. What is above them is read, so that the capsule does not
// block, and counted, and said once a second.
const (
	maxLine     = 16 << 10 // bytes of a line that are kept
	linesBurst  = 400
	linesPerSec = 200
	lastLines   = 20
	lineQueue   = 256 // lines that wait for the log
)

// output is what one capsule process prints.
type output struct {
	log hclog.Logger

	mu         sync.Mutex
	allowance  float64
	last       time.Time
	suppressed uint64
	unsaid     uint64
	said       time.Time
	tail       []string // the last lines of standard error
	dying      string   // the first line by which Go says that it ends the program
}

// deaths are how such lines begin. Stacks follow, longer than what is kept of the end.
var deaths = []string{"panic: ", "fatal error: ", "unexpected fault address "}

func newOutput(log hclog.Logger) *output {
	return &output{log: log, allowance: linesBurst, last: time.Now(), said: time.Now()}
}

// allow says whether one more line may be logged now.
func (o *output) allow() bool {
	o.mu.Lock()
	now := time.Now()
	o.allowance = min(linesBurst, o.allowance+now.Sub(o.last).Seconds()*linesPerSec)
	o.last = now
	ok := o.allowance >= 1
	if ok {
		o.allowance--
	} else {
		o.suppressed++
		o.unsaid++
	}
	n := o.unsaid
	say := n > 0 && now.Sub(o.said) >= time.Second
	if say {
		o.unsaid, o.said = 0, now
	}
	o.mu.Unlock()
	if say {
		o.log.Warn("the capsule prints too much; lines were left out", "lines", n)
	}
	return ok
}

// full counts a line that was left out because the log does not keep up.
func (o *output) full() {
	o.mu.Lock()
	o.suppressed++
	o.unsaid++
	o.mu.Unlock()
}

func (o *output) count() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.suppressed
}

func (o *output) keep(line string) {
	if strings.TrimSpace(line) == "" {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dying == "" && slices.ContainsFunc(deaths, func(d string) bool { return strings.HasPrefix(line, d) }) {
		o.dying = line[:min(len(line), maxLine)]
	}
	if o.tail = append(o.tail, line[:min(len(line), maxLine)]); len(o.tail) > lastLines {
		o.tail = o.tail[1:]
	}
}

// lastWords gives what a person needs of the end of standard error: where there is a panic,
// its line, else the last lines.
func (o *output) lastWords() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dying != "" {
		return clip(strings.TrimSpace(o.dying))
	}
	var words []string
	for _, l := range o.tail {
		if l = plain(l); l != "" {
			words = append(words, l)
		}
	}
	return clip(strings.Join(words[max(0, len(words)-3):], " | "))
}

func clip(s string) string {
	const most = 400
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// plain gives the message and error of a JSON log line, "" for one that only developers want,
// any other line as it is.
func plain(line string) string {
	var m map[string]any
	if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &m) != nil {
		return strings.TrimSpace(line)
	}
	if level := m["@level"]; level == "debug" || level == "trace" {
		return ""
	}
	s := fmt.Sprint(m["@message"])
	for _, k := range []string{"error", "panic"} {
		if v, ok := m[k]; ok {
			s += fmt.Sprintf(": %v", v)
		}
	}
	return s
}

// lines calls each with every line of r, cut at maxLine, until r ends or breaks.
func lines(r io.Reader, each func(line []byte)) {
	b := bufio.NewReaderSize(r, maxLine)
	for {
		line, more, err := b.ReadLine()
		if err != nil {
			return
		}
		each(line)
		for more && err == nil {
			_, more, err = b.ReadLine()
		}
	}
}

// handshake passes the first line of standard output to w, where go-plugin reads it; what
// follows goes to the log. It returns when r ends.
func (o *output) handshake(r io.Reader, w *io.PipeWriter, first func(string)) {
	defer w.Close()
	seen := false
	lines(r, func(line []byte) {
		if !seen {
			seen = true
			first(string(line))
			_, _ = w.Write(append(bytes.Clone(line), '\n'))
			return
		}
		if o.allow() {
			o.log.Info(string(line))
		}
	})
}

// errors passes standard error to w, where go-plugin reads it as log lines. A log that does not
// keep up loses lines and never blocks the capsule. It returns when r ends.
func (o *output) errors(r io.Reader, w *io.PipeWriter) {
	queue := make(chan []byte, lineQueue)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer w.Close()
		for line := range queue {
			_, _ = w.Write(line)
		}
	}()
	lines(r, func(line []byte) {
		o.keep(string(line))
		if !o.allow() {
			return
		}
		select {
		case queue <- append(bytes.Clone(line), '\n'):
		default:
			o.full()
		}
	})
	close(queue)
	<-done
}

// writer logs what the capsule prints on os.Stdout once it is served; go-plugin brings it in
// pieces that need not be lines.
type writer struct {
	o    *output
	mu   sync.Mutex
	rest []byte
}

func (w *writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, p...)
	for {
		i := bytes.IndexByte(w.rest, '\n')
		if i < 0 && len(w.rest) < maxLine {
			return len(p), nil
		}
		line, rest := w.rest, []byte(nil)
		if i >= 0 {
			line, rest = w.rest[:i], w.rest[i+1:]
		}
		w.o.keep(string(line))
		if w.o.allow() {
			w.o.log.Info(string(line))
		}
		w.rest = append([]byte(nil), rest...)
	}
}
