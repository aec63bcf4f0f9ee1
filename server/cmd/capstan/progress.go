package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/capstan-video/capstan/pipeline"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows how far a run is: a bar on a terminal, a plain line every few seconds
// elsewhere, nothing with --quiet. The zero value shows nothing.
type progress struct {
	bar    *progressbar.ProgressBar
	w      io.Writer
	total  int
	frames int
	nodes  int
	began  time.Time
	said   time.Time
}

// progressPause is the time between plain lines.
const progressPause = 5 * time.Second

func startProgress(f runFlags, info pipeline.MediaInfo, w *os.File) *progress {
	p := &progress{began: time.Now(), said: time.Now(), total: info.Frames}
	if f.effort.every > 1 {
		p.total = (p.total + f.effort.every - 1) / f.effort.every
	}
	if f.effort.keyframes {
		p.total = 0 // not known
	}
	if f.quiet {
		return p
	}
	if !isTerminal(w) {
		p.w = w
		return p
	}
	most := int64(p.total)
	if most == 0 {
		most = -1 // a spinner
	}
	p.bar = progressbar.NewOptions64(most, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription("frames"),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("frames"),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionFullWidth(), progressbar.OptionClearOnFinish())
	return p
}

// isTerminal says whether a person sees f.
func isTerminal(f *os.File) bool {
	return term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

func (p *progress) frame(r *pipeline.Result) {
	p.frames++
	p.nodes += len(r.Nodes)
	switch {
	case p.bar != nil:
		if p.total > 0 && p.frames > p.total { // the container promised fewer
			p.total = p.frames
			p.bar.ChangeMax(p.total)
		}
		_ = p.bar.Add(1)
	case p.w != nil && time.Since(p.said) >= progressPause:
		p.said = time.Now()
		of := ""
		if p.total > 0 {
			of = fmt.Sprintf(" of %d", p.total)
		}
		fmt.Fprintf(p.w, "%d%s frames, %.1f fps, %d detections\n", p.frames, of, perSecond(uint64(p.frames), time.Since(p.began)), p.nodes)
	}
}

func (p *progress) stop() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
