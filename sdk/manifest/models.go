package manifest

import (
	"fmt"

	"github.com/capstan-video/capstan/core"
)

// models reads a list of {file, url, sha256, licence, source}.
func (d *decoder) models(to *[]core.Model) func(value, string) {
	return func(v value, path string) {
		if v.kind != list {
			d.fail(v, path, v.what()+" is not a list", "want a list of {file: x.onnx, url: …, sha256: …, licence: …, source: …}")
			return
		}
		for i, item := range v.items {
			var m core.Model
			p := fmt.Sprintf("%s[%d]", path, i)
			d.mapping(item, p, []key{
				{"file", d.text(&m.File)},
				{"url", d.text(&m.URL)},
				{"sha256", d.text(&m.SHA256)},
				{"licence", d.text(&m.Licence)},
				{"source", d.text(&m.Source)},
			})
			d.required(item, p, "file", "sha256")
			*to = append(*to, m)
		}
	}
}

func (w *writer) models(list []core.Model) {
	if len(list) == 0 {
		return
	}
	w.line(0, "models: # needed beside the capsule: capstan models pull")
	for _, m := range list {
		w.line(1, "- file: %s", w.quote(m.File))
		for _, f := range []struct{ key, value string }{{"url", m.URL}, {"sha256", m.SHA256}, {"licence", m.Licence}, {"source", m.Source}} {
			if f.value != "" {
				w.line(2, "%s: %s", f.key, w.quote(f.value))
			}
		}
	}
}
