package host

import (
	"os/exec"
	"runtime"
	"sync"

	"github.com/capstan-video/capstan/core"
)

// launcher starts processes from one thread that lives as long as the host. The system sends a
// child its parent-death signal when the thread that started it ends, not the process; Go ends
// threads as it likes.
type launcher struct {
	jobs chan launch
	stop chan struct{}
	once sync.Once
	done chan struct{}
}

type launch struct {
	cmd    *exec.Cmd
	result chan error
}

func newLauncher() *launcher {
	l := &launcher{jobs: make(chan launch), stop: make(chan struct{}), done: make(chan struct{})}
	go l.run()
	return l
}

// run never unlocks its thread, so that the thread ends with it.
func (l *launcher) run() {
	defer close(l.done)
	runtime.LockOSThread()
	for {
		select {
		case j := <-l.jobs:
			j.result <- j.cmd.Start()
		case <-l.stop:
			return
		}
	}
}

// start is cmd.Start on the launcher's thread.
func (l *launcher) start(cmd *exec.Cmd) error {
	j := launch{cmd: cmd, result: make(chan error, 1)}
	select {
	case l.jobs <- j:
		return <-j.result
	case <-l.stop:
		return core.Faultf(core.Closed, "start capsule", "", "the host is closed")
	}
}

// close ends the thread; children that are left die with it.
func (l *launcher) close() {
	l.once.Do(func() { close(l.stop) })
	<-l.done
}
