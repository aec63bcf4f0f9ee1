package confine

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/capstan-video/capstan/core"
	"golang.org/x/sys/unix"
)

// Guard looks at what processes use that the system itself does not bound, and says when it is
// too much. The zero value is ready.
type Guard struct {
	mu     sync.Mutex
	wards  map[*ward]bool
	stop   chan struct{}
	done   chan struct{}
	closed bool

	threads int // of the machine at the last count of processes
	ticks   int
}

// ward is a process that is looked at.
type ward struct {
	held  *Held
	name  string
	tell  func(error)
	found []int // its processes at the last count
	told  bool

	parent bool // it can start processes
	halted bool // it stands still until it is sent on
}

// Watch looks at a process until the returned function is called, which does not wait. tell is
// called at most once, with a fault of kind CapsuleLimit: it must not wait for the guard.
func (g *Guard) Watch(name string, h *Held, tell func(error)) (forget func()) {
	w := &ward{held: h, name: name, tell: tell, found: []int{h.pid}, parent: h.cage.Processes != 0 || !filters()}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return func() {}
	}
	if g.wards == nil {
		g.wards, g.stop, g.done = map[*ward]bool{}, make(chan struct{}), make(chan struct{})
		go g.run()
	}
	g.wards[w] = true
	return func() {
		g.mu.Lock()
		delete(g.wards, w)
		g.mu.Unlock()
	}
}

// Close ends the looking and waits for it. It is safe to call twice.
func (g *Guard) Close() {
	g.mu.Lock()
	first := !g.closed
	g.closed = true
	done := g.done
	if first && g.stop != nil {
		close(g.stop)
	}
	g.mu.Unlock()
	if done != nil {
		<-done
	}
}

func (g *Guard) run() {
	defer close(g.done)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-g.stop:
			return
		case <-tick.C:
			g.look()
		}
	}
}

func (g *Guard) look() {
	g.mu.Lock()
	wards := make([]*ward, 0, len(g.wards))
	for w := range g.wards {
		if !w.told {
			wards = append(wards, w)
		}
	}
	g.mu.Unlock()
	if len(wards) == 0 {
		return
	}
	g.count(wards)
	for _, w := range wards {
		err := w.check(g.ticks)
		if w.halted {
			w.halted = false
			_ = unix.Kill(-w.held.pid, unix.SIGCONT)
		}
		if err != nil {
			w.told = true
			w.tell(err)
		}
	}
}

// countEvery is how many intervals pass between two counts of processes while the machine's
// threads do not grow by more than countAt. When they grow by more than haltAt, the wards stand
// still while they are counted: a fork bomb leaves nobody else time for that.
const (
	countEvery = 20
	countAt    = 16
	haltAt     = 400
)

// count finds the processes of the wards that may have any, where it is time or there may be
// many.
func (g *Guard) count(wards []*ward) {
	g.ticks++
	leaders := make(map[int]bool, len(wards))
	for _, w := range wards {
		if w.parent {
			leaders[w.held.pid] = true
		}
	}
	if len(leaders) == 0 {
		return
	}
	now := threads()
	if g.ticks%countEvery != 1 && now <= g.threads+countAt {
		g.threads = min(g.threads, now)
		return
	}
	halt := g.threads > 0 && now > g.threads+haltAt
	g.threads = now
	for _, w := range wards {
		if halt && w.parent && !stands(w.held.pid) {
			w.halted = true
			_ = unix.Kill(-w.held.pid, unix.SIGSTOP)
		}
	}
	found := members(leaders)
	for _, w := range wards {
		if w.parent {
			w.found = found[w.held.pid]
		}
	}
}

// check holds a ward against its cage.
func (w *ward) check(tick int) error {
	c := &w.held.cage
	if n := len(w.found) - 1; c.Processes >= 0 && n > c.Processes {
		return w.fault("processes: a number", "it started %d processes, and %d are allowed", n, c.Processes)
	}
	if n := w.memory(); n > 0 {
		return w.fault("memory", "it took %d MiB of memory, and %d MiB are allowed", n>>20, c.Memory>>20)
	}
	if c.Scratch == "" || tick%(countEvery/2) != 0 {
		return nil
	}
	if n := size(c.Scratch); n > c.ScratchSize {
		return w.fault("files: a folder with mode rw", "it wrote %d MiB into its temporary folder, and %d MiB are allowed", n>>20, c.ScratchSize>>20)
	}
	return nil
}

// memory gives what the processes use when that is too much, else 0. It looks closely only
// where a quick look says that it may be.
func (w *ward) memory() int64 {
	most := w.held.cage.Memory
	if most == 0 {
		return 0
	}
	if w.sum(resident) <= most {
		return 0
	}
	if n := w.sum(used); n > most {
		return n
	}
	return 0
}

func (w *ward) sum(measure func(int) int64) int64 {
	var sum int64
	for _, pid := range w.found {
		if group, err := unix.Getpgid(pid); err == nil && group == w.held.pid { // the number may be another's by now
			sum += measure(pid)
		}
	}
	return sum
}

func (w *ward) fault(declare, format string, args ...any) error {
	f := core.Faultf(core.CapsuleLimit, "capsule "+w.name, "", "%s and was ended", fmt.Sprintf(format, args...))
	f.Hint = "if it needs that, declare needs: " + declare + " in its capsule.yaml"
	return f
}

// size gives the bytes that the files below a folder take.
func size(dir string) int64 {
	var sum int64
	_ = filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return nil // it was removed meanwhile
		}
		var st unix.Stat_t
		if unix.Lstat(path, &st) == nil {
			sum += st.Blocks * 512
		}
		return nil
	})
	return sum
}
