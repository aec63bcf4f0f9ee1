package gstreamer

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
)

// FolderRate is the frames a second of a folder of images whose URL does not say: file:///dir?fps=10.
const FolderRate = 25

// item is one thing to play: a whole video, or one image of a folder.
type item struct {
	head string // gives raw video
	uri  string // for its element "source", unless empty
	path string // for its element "file", unless empty
	name string // for people, without secrets
	sync bool   // at its own speed
	drop bool   // the newest frame replaces those that wait
	keys bool   // key frames only
	even bool   // pictures that have no time come one after the other; raw Motion JPEG has none
	own  *own   // a pipeline that somebody wrote; nil: head is played
}

// plan is a source as it will be played.
type plan struct {
	name   string // for people, without secrets
	items  []item
	live   bool          // known before it opens; http finds out
	local  bool          // a file on a disk
	web    bool          // it may turn out to be live
	list   bool          // it is a playlist, whose size says nothing
	seek   bool          // Start is sought, not skipped to
	period time.Duration // a folder: from image to image
	frames int           // known before it opens
	user   *url.Userinfo // for http
}

// tail is what every source runs into. videoconvert passes I420 and NV12 through as they are;
// videoflip would copy every frame even where nothing is to be turned, so it stands in the
// place of %s only for sources with an orientation tag.
const tail = "videoconvert name=convert !%s video/x-raw,format=(string){I420,NV12} ! " +
	"appsink name=sink max-buffers=2 enable-last-sample=false wait-on-eos=false sync=%t drop=%t"

const turn = " videoflip name=flip video-direction=auto !"

// launch is the pipeline of an item, with what turns its pictures upright or without.
func (i item) launch(upright bool) string {
	flip := ""
	if upright {
		flip = turn
	}
	if i.own != nil {
		return i.own.launch(fmt.Sprintf(tail, flip, i.sync, i.drop))
	}
	return i.head + " ! " + fmt.Sprintf(tail, flip, i.sync, i.drop)
}

const decode = `uridecodebin name=source caps="video/x-raw(ANY)" expose-all-streams=false`

// planOf says how a source is played, by the pipeline that was given for it or by ours.
func planOf(s pipeline.Source) (plan, error) {
	p, err := planFor(s)
	if err == nil && s.Pipeline != "" {
		p, err = planOwn(s, p)
	}
	return p.called(s.Name), err
}

// called gives the source another name; "" changes nothing.
func (p plan) called(name string) plan {
	if name == "" {
		return p
	}
	p.name = name
	for i := range p.items {
		p.items[i].name = name
	}
	return p
}

// planFor says how a source is played by ours. It looks at files but opens nothing else.
func planFor(s pipeline.Source) (plan, error) {
	if strings.TrimSpace(s.URL) == "" {
		return plan{}, core.Faultf(core.Invalid, "open", "", "the source is empty")
	}
	if s.Start < 0 || s.Duration < 0 {
		return plan{}, core.Faultf(core.Invalid, "open", redact(s.URL), "start %s and duration %s are not below 0", s.Start, s.Duration)
	}
	scheme, _, found := strings.Cut(s.URL, "://")
	if !found || len(scheme) < 2 || strings.ContainsAny(scheme, "/. ") {
		return planPath(s, s.URL, FolderRate)
	}
	kinds := map[string]func(pipeline.Source, *url.URL) (plan, error){
		"file": planFile, "rtsp": planRTSP, "rtsps": planRTSP, "http": planHTTP, "https": planHTTP, "v4l2": planCamera, "test": planTest,
	}
	kind := kinds[strings.ToLower(scheme)]
	if kind == nil {
		return plan{}, core.Faultf(core.Invalid, "open", redact(s.URL), "%s:// is not one of file, rtsp, rtsps, http, https, v4l2, test", scheme)
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		var reason *url.Error
		if errors.As(err, &reason) {
			err = reason.Err // without the URL: its userinfo may be what is wrong
		}
		return plan{}, core.Faultf(core.Invalid, "open", redact(s.URL), "it is not a URL: %s", redact(err.Error()))
	}
	return kind(s, u)
}

// keyFrames gives the items of a plan as they are played when only key frames are wanted.
// Pictures, raw video and test pictures have nothing else.
func keyFrames(items []item) []item {
	for i := range items {
		items[i].keys = items[i].uri != "" || items[i].own != nil
	}
	return items
}

func planFile(s pipeline.Source, u *url.URL) (plan, error) {
	if u.Host != "" && u.Host != "localhost" {
		return plan{}, core.Faultf(core.Invalid, "open", s.URL, "host %q: a file URL has three slashes: file:///path", u.Host)
	}
	fps := float64(FolderRate)
	for key, values := range u.Query() {
		f, err := strconv.ParseFloat(values[0], 64)
		if key != "fps" || err != nil || !(f > 0 && f <= 1000) {
			return plan{}, core.Faultf(core.Invalid, "open", s.URL, "%s=%s: a file URL takes fps=0.01..1000, for folders of images, and nothing else", key, values[0])
		}
		fps = f
	}
	return planPath(s, u.Path, fps)
}

func planPath(s pipeline.Source, path string, fps float64) (plan, error) {
	info, err := os.Stat(path)
	if err != nil {
		return plan{}, openFault(path, err)
	}
	if info.IsDir() {
		return planFolder(s, path, fps)
	}
	if !info.Mode().IsRegular() {
		return plan{}, core.Faultf(core.SourceOpen, "open", path, "it is neither a file nor a folder")
	}
	f, err := os.Open(path)
	if err != nil {
		return plan{}, openFault(path, err)
	}
	f.Close()
	if info.Size() == 0 {
		return plan{}, core.Faultf(core.SourceFormat, "open", cmp.Or(s.Name, path), "the file is empty")
	}
	if cutOff(path) {
		f := core.Faultf(core.SourceFormat, "open", cmp.Or(s.Name, path), "it has no index (moov), without which nothing of it can be played")
		f.Hint = "the file was cut off, or is being written still"
		return plan{}, f
	}
	p := plan{name: path, live: s.Realtime, local: true, seek: true}
	if isImage(path) {
		p.frames, p.seek = 1, false
	}
	it, err := fileItem(path)
	it.sync, it.drop = s.Realtime, s.Realtime
	p.items = []item{it}
	return p, err
}

// fileItem plays a file. GIF, BMP and TIFF pictures go to gdk-pixbuf where it is there: libav's
// GIF demuxer has no time stamps and plays in a circle, so an animated one gives its first picture.
func fileItem(path string) (item, error) {
	if still(path) && hasElement("gdkpixbufdec") {
		return item{head: "filesrc name=file ! gdkpixbufdec", path: path, name: path}, nil
	}
	uri, err := fileURI(path)
	return item{head: decode, uri: uri, name: path, even: true}, err
}

// still says whether a file begins as GIF, BMP and TIFF pictures do.
func still(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 10)
	if _, err := io.ReadFull(f, head); err != nil {
		return false
	}
	s := string(head)
	return strings.HasPrefix(s, "GIF8") || strings.HasPrefix(s, "II*\x00") || strings.HasPrefix(s, "MM\x00*") ||
		strings.HasPrefix(s, "BM") && s[6:10] == "\x00\x00\x00\x00"
}

// openFault says why a path cannot be read, in the system's words.
func openFault(path string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	f := core.Faultf(core.SourceOpen, "open", path, "%w", err)
	if errors.Is(err, fs.ErrNotExist) {
		f.Hint = "a source is a file, a folder of images, or a URL: rtsp://, http(s)://, v4l2:///dev/video0, test://"
	}
	return f
}

func fileURI(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", core.Faultf(core.SourceOpen, "open", path, "%w", err)
	}
	return (&url.URL{Scheme: "file", Path: abs}).String(), nil
}

var imageTypes = []string{".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pnm"}

func isImage(path string) bool {
	return slices.Contains(imageTypes, strings.ToLower(filepath.Ext(path)))
}

// planFolder plays every image of a folder, not of those below it, in natural order.
func planFolder(s pipeline.Source, dir string, fps float64) (plan, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return plan{}, openFault(dir, err)
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() && isImage(e.Name()) && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		return plan{}, core.Faultf(core.SourceOpen, "open", dir, "the folder has no images (%s)", strings.Join(imageTypes, " "))
	}
	slices.SortFunc(names, naturally)
	p := plan{name: dir, local: true, live: s.Realtime, seek: true, period: time.Duration(float64(time.Second) / fps)}
	names = names[min(len(names), int((s.Start+p.period-1)/p.period)):]
	if len(names) == 0 {
		return plan{}, core.Faultf(core.Invalid, "open", dir, "it ends before %s", s.Start)
	}
	p.frames = len(names)
	for _, n := range names {
		path := filepath.Join(dir, n)
		it, err := fileItem(path)
		if err != nil {
			return plan{}, err
		}
		p.items = append(p.items, it)
	}
	return p, nil
}

// naturally orders names as people do: img2 before img10. Names that differ in nothing but
// leading zeros or case are ordered as bytes.
func naturally(a, b string) int {
	x, y := strings.ToLower(a), strings.ToLower(b)
	for x != "" && y != "" {
		nx, ny := digits(x), digits(y)
		if nx > 0 && ny > 0 {
			dx, dy := strings.TrimLeft(x[:nx], "0"), strings.TrimLeft(y[:ny], "0")
			if len(dx) != len(dy) {
				return len(dx) - len(dy)
			}
			if dx != dy {
				return strings.Compare(dx, dy)
			}
			x, y = x[nx:], y[ny:]
			continue
		}
		if x[0] != y[0] {
			return int(x[0]) - int(y[0])
		}
		x, y = x[1:], y[1:]
	}
	if len(x) != len(y) {
		return len(x) - len(y)
	}
	return strings.Compare(a, b)
}

func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

func planRTSP(s pipeline.Source, u *url.URL) (plan, error) {
	if u.Host == "" {
		return plan{}, core.Faultf(core.Invalid, "open", redact(s.URL), "it names no host: rtsp://host:554/path")
	}
	return network(s, u, plan{live: true}), nil
}

func planHTTP(s pipeline.Source, u *url.URL) (plan, error) {
	if u.Host == "" {
		return plan{}, core.Faultf(core.Invalid, "open", redact(s.URL), "it names no host: http://host/path")
	}
	p := plan{web: true, live: s.Realtime, seek: true, user: u.User, list: strings.HasSuffix(strings.ToLower(u.Path), ".m3u8")}
	v := *u
	v.User = nil // souphttpsrc takes it as properties
	return network(s, &v, p), nil
}

func network(s pipeline.Source, u *url.URL, p plan) plan {
	p.name = redact(s.URL)
	p.items = []item{{head: decode, uri: u.String(), name: p.name, sync: s.Realtime && p.web, drop: p.live}}
	return p
}

func planCamera(s pipeline.Source, u *url.URL) (plan, error) {
	if !strings.HasPrefix(u.Path, "/dev/") || u.Host != "" {
		return plan{}, core.Faultf(core.Invalid, "open", s.URL, "a camera is v4l2:///dev/videoN")
	}
	if _, err := os.Stat(u.Path); err != nil {
		f := core.Faultf(core.SourceOpen, "open", s.URL, "%w", err)
		f.Hint = "ls /dev/video* shows the cameras"
		return plan{}, f
	}
	return network(s, u, plan{live: true}), nil
}
