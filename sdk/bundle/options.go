package bundle

import (
	"encoding/json"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/manifest"
	"github.com/capstan-video/capstan/sdk/wire"
)

// CapsuleOf writes a capsule with its complete values. Secrets are left out: whoever replays
// gives them again.
func CapsuleOf(d core.Declaration, values core.Values) (Capsule, error) {
	text, err := manifest.Encode(d)
	if err != nil {
		return Capsule{}, err
	}
	open := core.Values{}
	for k, v := range values {
		if o, ok := d.Option(k); ok && o.Type != core.SecretOption {
			open[k] = v
		}
	}
	options, err := wire.EncodeValues(open)
	if err != nil {
		return Capsule{}, err
	}
	return Capsule{Name: d.Name, Version: d.Version, Manifest: string(text), Options: json.RawMessage(options)}, nil
}

// Declaration reads the manifest that was recorded.
func (c Capsule) Declaration() (core.Declaration, error) {
	return manifest.Decode("capsule.yaml of "+c.Name, []byte(c.Manifest))
}

// Values gives the options that were recorded.
func (c Capsule) Values() (map[string]any, error) {
	if len(c.Options) == 0 {
		return map[string]any{}, nil
	}
	return wire.DecodeValues(string(c.Options))
}
