package pipeline

import (
	"context"
	"sync"

	"github.com/capstan-video/capstan/core"
)

// Absent stands in for a capsule that could not be launched, until one takes its place: it is known
// by its declaration, is broken and says why. Sessions go on without it.
type Absent struct {
	decl core.Declaration

	mu  sync.Mutex
	why error
}

var _ Capsule = (*Absent)(nil)

// NewAbsent gives a stand-in for a capsule of this declaration, which must be valid.
func NewAbsent(d core.Declaration, why error) *Absent { return &Absent{decl: d, why: why} }

// Again notes why it could not be launched now.
func (a *Absent) Again(why error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.why = why
}

// Declaration gives what its manifest says.
func (a *Absent) Declaration() core.Declaration { return a.decl }

// Values gives the defaults.
func (a *Absent) Values() core.Values {
	v, err := a.decl.Complete(nil)
	if err != nil {
		return core.Values{}
	}
	return v
}

func (a *Absent) fault() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return core.Faultf(core.CapsuleExited, "capsule "+a.decl.Name, "", "it could not be started: %w", a.why)
}

// Configure refuses.
func (a *Absent) Configure(context.Context, core.Values) error { return a.fault() }

// OpenStream refuses.
func (a *Absent) OpenStream(context.Context, core.StreamID, core.Values) error { return a.fault() }

// CloseStream has nothing to close.
func (a *Absent) CloseStream(context.Context, core.StreamID) error { return nil }

// Process refuses.
func (a *Absent) Process(context.Context, Call) (Answer, error) { return Answer{}, a.fault() }

// Ready says why it is not.
func (a *Absent) Ready(context.Context) error { return a.fault() }

// Stats has the state CapsuleBroken.
func (a *Absent) Stats() CapsuleStats {
	return CapsuleStats{State: CapsuleBroken, LastErr: a.fault().Error()}
}

// Close does nothing.
func (a *Absent) Close() error { return nil }
