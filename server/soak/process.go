package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	password = "a soak's own" // #nosec G101 -- of a server that lives for the soak
	// startLimit is how long a server may take to say where it answers, on a machine that is busy.
	startLimit = 60 * time.Second
	// stopLimit is what is promised, and a little.
	stopLimit = 12 * time.Second
	// logKept bounds what is kept of a server's log, in bytes.
	logKept = 64 << 10
)

// process is a capstan serve.
type process struct {
	*client
	rig  *rig
	cmd  *exec.Cmd
	gone chan struct{}
	end  error // why it ended; once gone is closed
	log  tail
	data string
	took time.Duration // until it said where it answers
}

// tail keeps the end of what is written.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - logKept; over > 0 {
		t.text = append([]byte(nil), t.text[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

var answersAt = regexp.MustCompile(`http://\S+`)

// serve starts a server on a data folder and waits until it says where it answers; the caller ends
// it with kill or stop. It signs in.
func (r *rig) serve(ctx context.Context, data string, more ...string) (*process, error) {
	args := append([]string{"serve", "--listen", "127.0.0.1:0", "--data", data, "--capsules", filepath.Join(r.dir, "capsules"), "--unsafe",
		"--limits-requests-per-second", "0", "--admission-mode", "off"}, more...)
	p := &process{rig: r, cmd: exec.Command(r.program, args...), gone: make(chan struct{}), data: data}
	p.cmd.Env = append(os.Environ(), "CAPSTAN_ADMIN_PASSWORD="+password, "TMPDIR="+r.temp())
	p.cmd.Stderr = &p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := p.start(); err != nil {
		return nil, err
	}
	said := make(chan string, 1)
	go func() { // ends with the process
		defer close(p.gone)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if url := answersAt.FindString(lines.Text()); url != "" {
				select {
				case said <- url:
				default:
				}
			}
		}
		p.end = p.cmd.Wait()
	}()
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	select {
	case url := <-said:
		p.took = time.Since(began)
		p.client = newClient(url)
		return p, p.signIn(ctx)
	case <-p.gone:
		return nil, fmt.Errorf("the server ended: %w\n%s", p.end, p.log.String())
	case <-limit.C:
	case <-ctx.Done():
	}
	return nil, errors.Join(fmt.Errorf("the server does not say where it answers\n%s", p.log.String()), p.kill())
}

// start starts the process from a thread that stays: the parent-death signal is the thread's.
func (p *process) start() error {
	parent.once.Do(func() {
		parent.jobs = make(chan func())
		go func() { // for as long as the program runs
			lockThread()
			for job := range parent.jobs {
				job()
			}
		}()
	})
	done := make(chan error)
	parent.jobs <- func() { done <- p.cmd.Start() }
	return <-done
}

var parent struct {
	once sync.Once
	jobs chan func()
}

// kill ends the server as kill -9 does, and waits.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.gone
	if p.client != nil {
		p.client.close()
	}
	return nil
}

// stop ends the server as systemd does, and says what is not as promised: that it ends well and in
// time, and leaves no process and no temporary file behind.
func (p *process) stop() error {
	if p.client != nil {
		p.client.close()
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	select {
	case <-p.gone:
	case <-limit.C:
		return errors.Join(fmt.Errorf("the server did not stop within %v\n%s", stopLimit, p.log.String()), p.kill())
	}
	if p.end != nil {
		return fmt.Errorf("the server ended by %w\n%s", p.end, p.log.String())
	}
	return p.rig.nothingLeft(p.data)
}

// nothingLeft says what a server that has stopped has left: processes, temporary files, files that
// were being written.
func (r *rig) nothingLeft(data string) error {
	var left []string
	if !until(context.Background(), 5*time.Second, func() bool { left = r.processes(); return len(left) == 0 }) {
		return fmt.Errorf("processes are left behind: %s", strings.Join(left, ", "))
	}
	for _, dir := range []string{r.temp(), filepath.Join(data, "blobs", "tmp")} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		if len(entries) > 0 {
			return fmt.Errorf("%d files are left in %s, as %s", len(entries), filepath.Base(dir), entries[0].Name())
		}
	}
	return nil
}

// processes lists those whose program is in the rig's folder: capsules.
func (r *rig) processes() []string {
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	var out []string
	for _, link := range links {
		exe, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(exe, r.dir+"/") {
			continue
		}
		pid := filepath.Base(filepath.Dir(link))
		if stat, err := os.ReadFile("/proc/" + pid + "/stat"); err == nil && strings.Contains(string(stat), ") Z ") {
			continue // it waits for init
		}
		out = append(out, pid+" "+filepath.Base(exe))
	}
	return out
}

// size is how large a process is.
type size struct {
	descriptors, threads int
	memory               int64 // resident, bytes
	goroutines           int
}

// size measures the server a few times and gives the least: some requests are just under way.
func (p *process) size(ctx context.Context) (size, error) {
	least, err := p.sizeNow(ctx)
	for range 4 {
		if err == nil {
			err = pause(ctx, 20*time.Millisecond)
		}
		if err != nil {
			return least, err
		}
		var s size
		s, err = p.sizeNow(ctx)
		least = size{min(least.descriptors, s.descriptors), min(least.threads, s.threads), min(least.memory, s.memory), min(least.goroutines, s.goroutines)}
	}
	return least, err
}

// sizeNow measures the server; goroutines come from /metrics.
func (p *process) sizeNow(ctx context.Context) (size, error) {
	dir := filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid))
	files, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return size{}, err
	}
	threads, err := os.ReadDir(filepath.Join(dir, "task"))
	if err != nil {
		return size{}, err
	}
	s := size{descriptors: len(files), threads: len(threads)}
	text, err := os.ReadFile(filepath.Join(dir, "statm"))
	if err != nil {
		return size{}, err
	}
	if fields := strings.Fields(string(text)); len(fields) > 1 {
		pages, _ := strconv.ParseInt(fields[1], 10, 64)
		s.memory = pages * int64(os.Getpagesize())
	}
	n, err := p.metric(ctx, "go_goroutines")
	s.goroutines = int(n)
	return s, err
}

func (s size) String() string {
	return fmt.Sprintf("%d descriptors, %d threads, %d goroutines, %d MB", s.descriptors, s.threads, s.goroutines, s.memory>>20)
}
