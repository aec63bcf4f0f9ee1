package hotload

import (
	"bytes"
	"errors"
	"io"
	"os"

	"github.com/capstan-video/capstan/core"
	"github.com/goccy/go-yaml"
)

// maxOptionsFile bounds a file of options, in bytes.
const maxOptionsFile = 1 << 20

// ReadOptions reads a YAML file of options, by capsule and option:
//
//	detector_face_pigo:
//	  min_size: 40
//
// An empty file has none. Whether the options exist and are allowed is for others to say.
func ReadOptions(path string) (map[string]map[string]any, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, core.Faultf(core.NotFound, "options file", "", "%w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxOptionsFile+1))
	if err == nil && len(data) > maxOptionsFile {
		err = errors.New("it has more than 1 MiB")
	}
	if err != nil {
		return nil, core.Faultf(core.Invalid, "options file", path, "%w", err)
	}
	options, err := decodeOptions(data)
	if err != nil {
		return nil, core.Faultf(core.Invalid, "options file", path, "%w", err)
	}
	return options, nil
}

func decodeOptions(data []byte) (options map[string]map[string]any, err error) {
	defer func() { // the YAML library is not known to panic; a file must not end the program
		if v := recover(); v != nil {
			err = errors.New("it is no YAML")
		}
	}()
	err = yaml.NewDecoder(bytes.NewReader(data)).Decode(&options)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err != nil {
		return nil, errors.New(yaml.FormatError(err, false, false))
	}
	return options, nil
}
