package conform

import (
	"fmt"
	"slices"
	"time"

	"github.com/capstan-video/capstan/core"
)

// Verdict is how a case ended.
type Verdict string

// The verdicts.
const (
	Passed        Verdict = "passed"
	Failed        Verdict = "failed"
	Noted         Verdict = "noted" // it passed; something is worth knowing
	NotApplicable Verdict = "not applicable"
)

// Finding is one thing that is wrong, or worth knowing, and what to do about it.
type Finding struct {
	What  string `json:"what"`
	Mend  string `json:"mend"`
	Where string `json:"where,omitempty"` // the frame on which it was first seen
	Times int    `json:"times"`
}

// String reads like "what (3 times, first on …): mend".
func (f Finding) String() string {
	s := f.What
	switch {
	case f.Times > 1 && f.Where != "":
		s += fmt.Sprintf(" (%d times, first on %s)", f.Times, f.Where)
	case f.Where != "":
		s += " (" + f.Where + ")"
	case f.Times > 1:
		s += fmt.Sprintf(" (%d times)", f.Times)
	}
	if f.Mend != "" {
		s += ". " + f.Mend
	}
	return s
}

// Result is what became of one case.
type Result struct {
	Name     string        `json:"name"`
	About    string        `json:"about"`
	Verdict  Verdict       `json:"verdict"`
	Reason   string        `json:"reason,omitempty"` // why it is not applicable
	Findings []Finding     `json:"findings,omitempty"`
	Notes    []Finding     `json:"notes,omitempty"`
	Frames   int           `json:"frames"` // given to the capsule
	Took     time.Duration `json:"-"`
	Millis   float64       `json:"ms"`
}

// Report is a whole run.
type Report struct {
	Capsule string   `json:"capsule"`
	Version string   `json:"version"`
	Home    string   `json:"home"`
	Cases   []Result `json:"cases"`
	Failed  int      `json:"failed"`
	Noted   int      `json:"noted"`
}

// Case finds the result of a case.
func (r *Report) Case(name string) (Result, bool) {
	i := slices.IndexFunc(r.Cases, func(c Result) bool { return c.Name == name })
	if i < 0 {
		return Result{}, false
	}
	return r.Cases[i], true
}

// most bounds the different findings of one case.
const most = 12

// findings gathers what is wrong, the same thing once with its count.
type findings struct {
	list []Finding
	more int
}

func (l *findings) add(what, mend, where string) {
	i := slices.IndexFunc(l.list, func(f Finding) bool { return f.What == what })
	switch {
	case i >= 0:
		l.list[i].Times++
	case len(l.list) < most:
		l.list = append(l.list, Finding{What: what, Mend: mend, Where: where, Times: 1})
	default:
		l.more++
	}
}

func (l *findings) all() []Finding {
	if l.more == 0 {
		return l.list
	}
	return append(slices.Clone(l.list), Finding{What: "and more of the like", Times: l.more})
}

// Names lists the cases in their order.
func Names() []string {
	var names []string
	for _, c := range cases() {
		names = append(names, c.name)
	}
	return names
}

// CheckNames refuses names that no case has.
func CheckNames(names []string) error {
	known := Names()
	for _, n := range names {
		if slices.Contains(known, n) {
			continue
		}
		f := core.Faultf(core.Invalid, "check", n, "there is no such case")
		f.Hint = fmt.Sprintf("there are: %v", known)
		if near := core.Nearest(n, known); len(near) > 0 {
			f.Hint = "did you mean " + near[0] + "?"
		}
		return f
	}
	return nil
}
