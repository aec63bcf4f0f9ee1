package service

import (
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
)

// Tracer is told of every frame when all is done with it. Frame is called from the goroutine of the
// stream and should not wait.
type Tracer interface{ Frame(FrameTrace) }

// FrameTrace is a frame's way through the service. The result has the times of the capsules.
type FrameTrace struct {
	Stream core.StreamNumber
	Result *pipeline.Result // until Frame returns
	Named  Span             // known identities were looked for
	Zones  Span             // zones and alarms were looked at; Saves lie within
	Saves  []SaveTrace
}

// Span is a time that something took.
type Span struct {
	Began time.Time
	Took  time.Duration
}

// SaveTrace is the saving of an alert.
type SaveTrace struct {
	Span
	What  string // "began" or "ended"
	Alarm core.AlarmID
	Alert core.AlertID // 0: it could not be saved
	Err   error
}

// traced hands a result on as take does, and tells the tracer how long that took.
func (r *runner) traced(result *pipeline.Result, encoders map[core.EncoderID]encoder) {
	began := time.Now()
	r.name(result, encoders)
	named := time.Now()
	r.watch.saves = nil
	r.watch.see(result)
	seen := time.Now()
	r.svc.cfg.Tracer.Frame(FrameTrace{
		Stream: r.number, Result: result, Saves: r.watch.saves,
		Named: Span{began, named.Sub(began)}, Zones: Span{named, seen.Sub(named)},
	})
}

// noteSave counts the saving of an alert, and keeps it for the tracer.
func (w *watcher) noteSave(began time.Time, what string, alert core.Alert, err error) {
	w.held(began, err)
	switch {
	case err != nil:
		w.svc.unsaved.Add(1)
	case what == "began":
		w.svc.begun.Add(1)
	case what == "whole":
		w.svc.begun.Add(1)
		w.svc.ended.Add(1)
	default:
		w.svc.ended.Add(1)
	}
	if w.svc.cfg.Tracer != nil {
		w.saves = append(w.saves, SaveTrace{Span{began, time.Since(began)}, what, alert.Alarm, alert.ID, err})
	}
}
