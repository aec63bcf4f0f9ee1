package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/wire"
	"github.com/capstan-video/capstan/sdk/wire/shm"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// perform is the main of this binary in a role.
func perform(act string) {
	switch {
	case act == "true":
	case act == "words":
		fmt.Fprintln(os.Stderr, "no such model: faces.bin")
		os.Exit(7)
	case act == "hello":
		fmt.Println("Hello, world!")
		select {}
	case act == "hang":
		select {}
	case act == "version":
		fmt.Println("1|9|unix|/nowhere|grpc|")
		select {}
	case act == "deaf":
		l, _ := net.Listen("unix", filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "deaf"))
		fmt.Printf("1|1|unix|%s|grpc|\n", l.Addr())
		select {}
	case strings.HasPrefix(act, "raw-"):
		serveRaw(act)
	case act == "engine":
		beEngine()
	default:
		sdk.Serve(actCapsule(act))
	}
}

func actCapsule(act string) sdk.Capsule {
	c := sdk.Capsule{
		Name: "test_" + act, Version: "1", Gives: sdk.Finds(), Formats: core.PixelFormats,
		Options: []sdk.Option{sdk.Text("word", "default", ""), sdk.Duration("span", time.Second, "")},
	}
	process := map[string]sdk.ProcessorFunc{
		"nothing": func(context.Context, *sdk.Frame) error { return nil },
		"sum":     sumUp, "naughty": misbehave, "single": markOne, "flood": flood, "inspect": inspect, "tamper": tamper, "echo": echoNodes,
	}[act]
	c.Open = func(context.Context, sdk.Stream) (sdk.Processor, error) { return process, nil }
	switch act {
	case "single":
		c.Needs, c.Gives, c.Concurrency = sdk.Each("person"), sdk.Each("person"), 4
	case "echo":
		c.Needs, c.Gives = sdk.Every(), sdk.Every()
	case "order":
		c.Stateful = true
		c.Open = func(_ context.Context, s sdk.Stream) (sdk.Processor, error) {
			return &recorder{options: s.Options}, nil
		}
	case "rogue":
		c.Open = openRogue
	case "unloadable":
		c.Load = func(context.Context, hclog.Logger) error { return errors.New("no such model: faces.bin") }
	case "unopenable":
		c.Open = func(_ context.Context, s sdk.Stream) (sdk.Processor, error) {
			return nil, errors.New("not that stream")
		}
	case "talkative":
		c.Open = func(_ context.Context, s sdk.Stream) (sdk.Processor, error) {
			return sdk.ProcessorFunc(func(_ context.Context, f *sdk.Frame) error {
				s.Log.Warn("dark picture", "luma", 7)
				s.Log.Debug("nobody asked for this")
				fmt.Println("printed to standard output")
				fmt.Fprintln(os.Stderr, "[ERROR] printed to standard error")
				return nil
			}), nil
		}
	case "slow_open":
		c.Open = func(context.Context, sdk.Stream) (sdk.Processor, error) { select {} }
	case "stubborn":
		c.Open = func(context.Context, sdk.Stream) (sdk.Processor, error) { return stubborn{}, nil }
	}
	return c
}

// stubborn takes its time to close.
type stubborn struct{}

func (stubborn) Process(context.Context, *sdk.Frame) error { return nil }
func (stubborn) Close() error                              { select {} }

// sumUp says what it sees.
func sumUp(_ context.Context, f *sdk.Frame) error {
	caps := f.Caps()
	caps.Format = ""
	n := f.Add("picture", sdk.Rect(0, 0, float64(f.Width()), float64(f.Height())))
	n.SetExtra("sum", sum(f.Layout(), f.Memory()))
	n.SetExtra("frame", fmt.Sprintf("%s %d %d %s %s", f.Stream(), f.Seq(), f.PTS(), f.Captured().Format(time.RFC3339Nano), strings.TrimSpace(caps.String())))
	return nil
}

// What misbehave does, by the frame's number.
const (
	seqExit  = 1000 + iota // exit with status 3
	seqCrash               // a panic outside of Process
	seqPanic               // a panic in Process
	seqHang
	seqBig     // an answer of 2 MB
	seqUTF8    // an answer that cannot be encoded
	seqNaN     // a node nowhere
	seqFail    // an error
	seqSlow    // 300 ms
	seqChild   // start a child that holds everything open, then exit
	seqSilence // close the doorbell
)

func misbehave(_ context.Context, f *sdk.Frame) error {
	switch f.Seq() {
	case seqExit:
		fmt.Fprintln(os.Stderr, "cannot go on")
		os.Exit(3)
	case seqCrash:
		go panic("boom")
		select {}
	case seqPanic:
		panic("boom in Process")
	case seqHang:
		select {}
	case seqBig:
		f.Add("big", nil).SetExtra("blob", strings.Repeat("x", 2<<20))
	case seqUTF8:
		f.Add("\xff\xfe", nil)
	case seqNaN:
		var zero float64
		f.Add("nowhere", sdk.Rect(zero/zero, 0, 1, 1))
	case seqFail:
		f.Add("lost", nil)
		return errors.New("this frame is not to my taste")
	case seqSlow:
		time.Sleep(300 * time.Millisecond)
	case seqChild:
		cmd := exec.Command("/bin/sleep", "600")
		cmd.Stdout, cmd.Stderr = os.NewFile(1, "out"), os.NewFile(2, "err")
		if err := cmd.Start(); err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "child", cmd.Process.Pid)
		os.Exit(4)
	case seqSilence:
		for fd := 3; fd < 64; fd++ {
			if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err == nil && kind == unix.SOCK_SEQPACKET {
				_ = unix.Shutdown(fd, unix.SHUT_RDWR)
			}
		}
		select {}
	}
	f.Add("ok", nil).SetExtra("pid", os.Getpid())
	return nil
}

func markOne(_ context.Context, f *sdk.Frame) error {
	n := f.Node()
	if n.Class() != "person" {
		return fmt.Errorf("a %s", n.Class())
	}
	if v, ok := n.ExtraFloat("bad"); ok && v == 1 {
		panic("a bad one")
	}
	n.SetExtra("mark", n.ID()).SetAttribute("b", "2").SetAttribute("a", "1")
	n.SetEncoding(sdk.Encoding{})
	return nil
}

// echoNodes gives every node back, one class longer.
func echoNodes(_ context.Context, f *sdk.Frame) error {
	for _, n := range f.Nodes() {
		n.SetExtra("seen", n.Class())
	}
	return nil
}

func flood(_ context.Context, f *sdk.Frame) error {
	line := strings.Repeat("flood ", 100)
	for range 5000 {
		fmt.Fprintln(os.Stdout, line)           // go-plugin's pipe
		_, _ = unix.Write(1, []byte(line+"\n")) // the real ones
		_, _ = unix.Write(2, []byte(line+"\n"))
	}
	_, _ = unix.Write(2, []byte(strings.Repeat("long", 1<<20)+"\n"))
	return nil
}

// inspect says what the process has open.
func inspect(_ context.Context, f *sdk.Frame) error {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return err
	}
	n := f.Add("process", nil)
	n.SetExtra("fds", len(fds)).SetExtra("goroutines", runtime.NumGoroutine())
	n.SetExtra("arenas", strings.Count(string(maps), "memfd:capstan-arena"))
	return nil
}

// tamper tries every way to write to the frame's memory, and says which worked.
func tamper(_ context.Context, f *sdk.Frame) error {
	n := f.Add("attempts", nil)
	var done []string
	try := func(what string, err error) {
		if err == nil {
			done = append(done, what)
		}
	}
	mem := f.Memory()
	try("mprotect", unix.Mprotect(mem[:4096:4096], unix.PROT_READ|unix.PROT_WRITE))
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return err
	}
	found := false
	for line := range strings.Lines(string(maps)) {
		if !strings.Contains(line, "memfd:capstan-arena") {
			continue
		}
		found = true
		if f := strings.Fields(line); f[1] != "r--s" {
			done = append(done, "mapped "+f[1])
		}
		area, _, _ := strings.Cut(line, " ")
		file, err := os.OpenFile("/proc/self/map_files/"+area, os.O_RDWR, 0)
		if err != nil {
			continue // this needs root
		}
		_, err = unix.Mmap(int(file.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		try("mmap", err)
		_, err = file.WriteAt([]byte{1}, 0)
		try("write", err)
		try("truncate", file.Truncate(0))
		try("grow", file.Truncate(1<<30))
		_, err = unix.FcntlInt(file.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_WRITE)
		try("seal", err)
		file.Close()
	}
	n.SetExtra("found", found).SetExtra("done", strings.Join(done, ","))
	return nil
}

// recorder keeps the frames that it saw.
type recorder struct {
	options sdk.Values
	seen    []uint64
	busy    atomic.Int32
}

func (r *recorder) Process(_ context.Context, f *sdk.Frame) error {
	if r.busy.Add(1) != 1 {
		return errors.New("two frames at once")
	}
	defer r.busy.Add(-1)
	if f.Seq()%3 == 0 {
		time.Sleep(time.Millisecond)
	}
	r.seen = append(r.seen, f.Seq())
	f.Add("seen", nil).SetExtra("frames", r.seen).SetExtra("word", r.options.Text("word")).SetExtra("span", r.options.Duration("span").String())
	return nil
}

// raw is a capsule without the SDK, for what the SDK does not do.
type raw struct {
	wire.UnimplementedCapsuleServer
	act string
}

func (r *raw) Describe(context.Context, *wire.DescribeRequest) (*wire.DescribeReply, error) {
	d := actCapsule("nothing").Declaration()
	m := wire.EncodeDeclaration(d)
	if r.act == "raw-describe" {
		m.Input.Size = 77
	}
	return &wire.DescribeReply{Declaration: m}, nil
}

func (r *raw) Configure(context.Context, *wire.ConfigureRequest) (*wire.ConfigureReply, error) {
	if r.act == "raw-stuck" {
		select {}
	}
	return &wire.ConfigureReply{}, nil
}

func (r *raw) OpenStream(context.Context, *wire.OpenStreamRequest) (*wire.OpenStreamReply, error) {
	return &wire.OpenStreamReply{}, nil
}

func serveRaw(act string) {
	conn, err := shm.Open(3)
	if err != nil {
		panic(err)
	}
	go func() {
		buf := make([]byte, shm.PacketLimit)
		var arena *os.File
		for {
			n, files, err := conn.Recv(time.Time{}, buf)
			if err != nil {
				os.Exit(0)
			}
			if len(files) > 0 {
				arena = files[0]
			}
			var m wire.ToCapsule
			if act == "raw-keep" && proto.Unmarshal(buf[:n], &m) == nil && m.GetFrame() != nil {
				tried, _ := json.Marshal(keep(arena))
				node := &wire.Node{ExtraData: []*wire.ExtraValue{{Key: "tried", Json: tried}}}
				a := &wire.FrameAnswer{Call: m.GetFrame().Call, Returns: []*wire.Return{{Kind: wire.Return_LIST, Added: []*wire.Node{node}}}}
				p, _ := proto.Marshal(&wire.FromCapsule{Kind: &wire.FromCapsule_Answer{Answer: a}})
				_ = conn.Send(time.Time{}, p)
				continue
			}
			if proto.Unmarshal(buf[:n], &m) == nil && m.GetFrame() != nil {
				for _, p := range rawAnswers(act, m.GetFrame().Call) {
					_ = conn.Send(time.Time{}, p)
				}
			}
		}
	}()
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: wire.Handshake, Plugins: plugin.PluginSet{wire.PluginName: &wire.Plugin{Impl: &raw{act: act}}},
		GRPCServer: func(o []grpc.ServerOption) *grpc.Server { return grpc.NewServer(o...) },
	})
}

func rawAnswers(act string, call uint64) [][]byte {
	answer := func(a *wire.FrameAnswer) []byte {
		p, _ := proto.Marshal(&wire.FromCapsule{Kind: &wire.FromCapsule_Answer{Answer: a}})
		return p
	}
	good := answer(&wire.FrameAnswer{Call: call, Returns: []*wire.Return{{Kind: wire.Return_LIST}}})
	switch act {
	case "raw-noise":
		return [][]byte{[]byte("\xff\xff\xff\xff not a message")}
	case "raw-empty":
		return [][]byte{{0x1a, 0}} // an unknown field alone
	case "raw-unknown":
		return [][]byte{answer(&wire.FrameAnswer{Call: call + 100})}
	case "raw-twice":
		return [][]byte{good, good}
	case "raw-kind":
		return [][]byte{answer(&wire.FrameAnswer{Call: call, Returns: []*wire.Return{{Kind: 9}}})}
	case "raw-odd":
		return [][]byte{answer(&wire.FrameAnswer{Call: call, Returns: []*wire.Return{{Added: []*wire.Node{{Coords: []float64{1, 2, 3}}}}}})}
	case "raw-json":
		return [][]byte{answer(&wire.FrameAnswer{Call: call, Returns: []*wire.Return{{Added: []*wire.Node{{ExtraData: []*wire.ExtraValue{{Key: "k", Json: []byte("{")}}}}}}})}
	case "raw-time":
		return [][]byte{answer(&wire.FrameAnswer{Call: call, QueuedNs: -1})}
	case "raw-ready": // announced, and not there
		p, _ := proto.Marshal(&wire.FromCapsule{Kind: &wire.FromCapsule_Ready{Ready: &wire.AnswerReady{Call: call}}})
		return [][]byte{p}
	case "raw-fault":
		return [][]byte{answer(&wire.FrameAnswer{Call: call, Fault: &wire.Fault{Kind: int32(core.CapsuleExited), Message: "I am dead"}})}
	}
	return [][]byte{good}
}

// beEngine is an engine with two capsules that says their process numbers and waits to be killed.
func beEngine() {
	h := New(Config{Copy: os.Getenv("COPY") != ""})
	for range 2 {
		c, err := h.Launch(context.Background(), actSpec("stubborn"))
		if err == nil {
			err = c.OpenStream(context.Background(), "s", c.Values())
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(c.Stats().PID)
	}
	fmt.Println("ready")
	select {}
}
