package manifest

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/capstan-video/capstan/core"
)

// needs reads {network, files, devices, memory, cpu, processes}.
func (d *decoder) needs(to *core.Needs) func(value, string) {
	return func(v value, path string) {
		d.mapping(v, path, []key{
			{"network", d.network(&to.Network)},
			{"files", d.fileNeeds(&to.Files)},
			{"devices", func(v value, p string) { to.Devices = d.texts(v, p) }},
			{"memory", d.bytes(&to.Memory)},
			{"cpu", d.cpus(&to.CPU)},
			{"processes", d.int(&to.Processes, 1, 1<<12)},
		})
	}
}

func (d *decoder) network(to *[]string) func(value, string) {
	return func(v value, path string) {
		if v.kind == text && v.text == "none" {
			return
		}
		if v.kind != list {
			d.fail(v, path, v.what()+" is neither none nor a list", "want none, or host:port entries: [api.example.com:443]")
			return
		}
		for i, s := range d.texts(v, path) {
			if err := core.CheckEndpoint(s); err != nil {
				d.fail(v.items[i], fmt.Sprintf("%s[%d]", path, i), err.Error(), "")
			}
			*to = append(*to, s)
		}
	}
}

// fileNeeds reads paths, which are read, and {path, mode} with mode ro or rw.
func (d *decoder) fileNeeds(to *[]core.FileNeed) func(value, string) {
	return func(v value, path string) {
		if v.kind != list {
			d.fail(v, path, v.what()+" is not a list", "want paths: [/srv/maps, {path: /srv/out, mode: rw}]")
			return
		}
		for i, item := range v.items {
			var f core.FileNeed
			p := fmt.Sprintf("%s[%d]", path, i)
			if item.kind == mapping {
				d.mapping(item, p, []key{{"path", d.text(&f.Path)}, {"mode", d.mode(&f.Write)}})
				d.required(item, p, "path")
			} else {
				f.Path = d.scalarText(item, p)
			}
			*to = append(*to, f)
		}
	}
}

func (d *decoder) mode(write *bool) func(value, string) {
	return func(v value, path string) {
		switch d.scalarText(v, path) {
		case "ro":
		case "rw":
			*write = true
		default:
			d.fail(v, path, v.what()+" is no mode", "want ro or rw")
		}
	}
}

func (d *decoder) cpus(to *float64) func(value, string) {
	return func(v value, path string) {
		f, err := core.Option{Type: core.FloatOption}.Check(v.data)
		if err != nil || f.(float64) <= 0 {
			d.fail(v, path, v.what()+" is no number of CPUs", "want a number such as 1.5")
			return
		}
		*to = f.(float64)
	}
}

var byteText = regexp.MustCompile(`^([0-9]{1,15}(?:\.[0-9]{1,6})?) ?(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$`)

var byteUnits = map[string]float64{
	"B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
}

// bytes reads a size with its unit, so that nobody has to guess it.
func (d *decoder) bytes(to *int64) func(value, string) {
	return func(v value, path string) {
		m := byteText.FindStringSubmatch(v.text)
		if v.kind != text || m == nil {
			d.fail(v, path, v.what()+" is no size", "want a number with its unit: 512MiB, 1.5GiB")
			return
		}
		n, _ := strconv.ParseFloat(m[1], 64) // the pattern lets numbers through only
		n = math.Round(n * byteUnits[m[2]])
		if n < 1 || n > 1<<50 {
			d.fail(v, path, v.what()+" is out of range", "want 512MiB, for example")
			return
		}
		*to = int64(n)
	}
}

// bytesText writes the largest unit in which n is whole.
func bytesText(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 40, "TiB"}, {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

func (w *writer) needs(n core.Needs) {
	if n.IsZero() {
		return
	}
	w.line(0, "needs: # of the machine; all else is refused where the system can")
	if len(n.Network) > 0 {
		w.line(1, "network: %s", w.flow(n.Network))
	}
	if len(n.Files) > 0 {
		files := make([]string, 0, len(n.Files))
		for _, f := range n.Files {
			s := w.quote(f.Path)
			if f.Write {
				s = "{path: " + s + ", mode: rw}"
			}
			files = append(files, s)
		}
		w.line(1, "files: [%s]", strings.Join(files, ", "))
	}
	if len(n.Devices) > 0 {
		w.line(1, "devices: %s", w.flow(n.Devices))
	}
	if n.Memory > 0 {
		w.line(1, "memory: %s", bytesText(n.Memory))
	}
	if n.CPU > 0 {
		w.line(1, "cpu: %s", floatText(n.CPU))
	}
	if n.Processes > 0 {
		w.line(1, "processes: %d", n.Processes)
	}
}
