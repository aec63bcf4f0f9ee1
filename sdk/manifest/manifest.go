// Package manifest reads and writes capsule.yaml, the declaration of a capsule that can be
// read without running it.
//
//	name: detector_face_pigo        # letters, digits and _
//	version: 1                      # a number or text
//	api: "1.0"                      # of the capsule contract; left out: "1.0"
//	description: Finds faces.
//	input: {size: none}             # left out: the frame alone
//	output:
//	  size: all                     # none, single or all
//	  detections: [face]
//	  attributes:                   # category: its values, in the order of the checks
//	    mood: [happy, sad]
//	  encoded: false
//	  tracked: false
//	  extra_data: [confidence]
//	options:
//	  threshold: {type: float, default: 0.5, min: 0, max: 1, description: Least confidence.}
//	formats: [GRAY8]                # accepted pixels, best first; none: it gets no pixels
//	picture: {max_side: 640}        # or width and height; filter: linear; left out: as they come
//	stateful: false
//	on_demand: false                # true: not used unless it is named
//	every_n: 1
//	gate: {class: motion, hold: 2s, at_least: 10s} # runs while others report the class; left out: always
//	deadline: 2s
//	metric: cosine                  # encoders only
//	models:                         # files that the capsule needs beside itself
//	  - {file: x.onnx, url: "https://…", sha256: 64 digits, licence: MIT, source: whose work}
//	needs:                          # of the machine; what is left out is refused or has a bound
//	  network: [api.example.com:443] # by TCP; none, or left out: no network
//	  files: ["${path}", {path: /srv/out, mode: rw}] # ${path}: what the option path names
//	  devices: [/dev/nvidia*]
//	  memory: 512MiB                # over all its processes; left out: 4GiB
//	  cpu: 1.5                      # left out: no bound
//	  processes: 4                  # child processes at one time; left out: none
//	entry: detector_face_pigo       # the program, inside the folder; left out: the name; or one a platform:
//	# entry: {linux/amd64: bin/x, linux/arm64: bin/y, any: main.py}
//	files:                          # of a package: capstan capsule pack writes them
//	  - {path: LICENSE, size: 11358, sha256: 64 digits, executable: false}
//
// Decoding is strict. What is wrong is told in one line that names file, line and what is
// expected, as a core.Fault of kind Invalid, or CapsuleVersion for an api that is not spoken.
package manifest

import (
	"fmt"
	"io"
	"os"

	"github.com/capstan-video/capstan/core"
)

// FileName is the name of a manifest in a capsule's folder.
const FileName = "capsule.yaml"

// firstAPI is what a manifest without the key api was made for.
const firstAPI = "1.0"

// Decode reads one manifest. file is for messages only. The declaration is validated.
func Decode(file string, data []byte) (core.Declaration, error) {
	doc, err := single(file, data)
	if err != nil {
		return core.Declaration{}, err
	}
	return decodeOne(file, doc)
}

// single gives the one document of a file.
func single(file string, data []byte) (value, error) {
	docs, err := parse(file, data)
	if err != nil {
		return value{}, err
	}
	switch {
	case len(docs) == 0:
		return value{}, faultAt(file, 0, 0, "the file is empty", "want a manifest: name, version, output")
	case len(docs) > 1:
		return value{}, faultAt(file, docs[1].line, 0, "a second document begins here", "one manifest a file")
	}
	return docs[0], nil
}

// DecodeList reads a file with a list of manifests; a single manifest, and several documents,
// are understood too. An empty list is no error. Names may repeat: that is the caller's to judge.
func DecodeList(file string, data []byte) ([]core.Declaration, error) {
	docs, err := parse(file, data)
	if err != nil {
		return nil, err
	}
	all := []core.Declaration{}
	for _, doc := range docs {
		items := []value{doc}
		if doc.kind == list {
			items = doc.items
		}
		for _, item := range items {
			m, err := decodeOne(file, item)
			if err != nil {
				return nil, err
			}
			all = append(all, m)
		}
	}
	return all, nil
}

// Load reads the manifest at path.
func Load(path string) (core.Declaration, error) {
	data, err := ReadFile(path)
	if err != nil {
		return core.Declaration{}, err
	}
	return Decode(path, data)
}

// ReadFile reads a file of at most the size that a manifest may have, and one byte: decoding
// refuses what is larger. It refuses what is no regular file, so that a pipe cannot hang it.
func ReadFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, core.Faultf(core.NotFound, "manifest", "", "%w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, core.Faultf(core.Invalid, "manifest", path, "it is not a file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, core.Faultf(core.Denied, "manifest", "", "%w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	return data, nil
}

func decodeOne(file string, v value) (core.Declaration, error) {
	d := decoder{file: file, places: map[string]value{}}
	m := d.declaration(v)
	if d.err != nil {
		return core.Declaration{}, d.err
	}
	return m, nil
}
