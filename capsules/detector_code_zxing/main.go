// Command detector_code_zxing reads QR codes and bar codes.
package main

import (
	"context"
	"fmt"
	"image"
	"slices"
	"strings"

	"github.com/capstan-video/capstan/sdk"
)

//go:generate sh -c "go run . manifest > capsule.yaml"

var capsule = sdk.Capsule{
	Name:        "detector_code_zxing",
	Version:     "0.1.0",
	Description: "Reads QR codes, Data Matrix, Aztec and the common bar codes.",
	Gives:       sdk.Description{Size: sdk.All, Detections: []string{"code"}, ExtraData: []string{"payload", "symbology", "confidence"}},
	Options: []sdk.Option{
		sdk.List("symbologies", standard, "Kinds of code to read: qr, data_matrix, aztec, ean_13, ean_8, upc_a, upc_e, code_128, code_39, code_93, itf, codabar."),
		sdk.Bool("try_harder", false, "Look at more lines and turned pictures: finds more and costs several times as much."),
		sdk.Bool("half_size", true, "Where nothing is found, look again at half the size: for large and grainy codes."),
		sdk.Bool("contrast", false, "Where nothing is found, look again with the contrast stretched: for pale codes."),
		sdk.Bool("inverted", false, "Where nothing is found, look again with black and white exchanged."),
	},
	Formats: []sdk.PixelFormat{sdk.GRAY8},
	Open:    open,
}

// standard leaves out what reads itself into fences and text: codes without a checksum.
var standard = []string{"qr", "data_matrix", "aztec", "ean_13", "ean_8", "upc_a", "code_128", "code_93"}

func main() { sdk.Serve(capsule) }

func open(_ context.Context, s sdk.Stream) (sdk.Processor, error) {
	wanted := s.Options.List("symbologies")
	for _, name := range wanted {
		if !slices.Contains(names(), name) {
			return nil, fmt.Errorf("option symbologies: %q is not one of %s", name, strings.Join(names(), ", "))
		}
	}
	r := newReader(wanted, s.Options.Bool("try_harder"))
	r.invert = s.Options.Bool("inverted")
	if s.Log != nil {
		r.panics = func(p any) { s.Log.Debug("gozxing panicked on a picture", "panic", p) }
	}
	if s.Options.Bool("contrast") {
		r.retries = append(r.retries, func(g *image.Gray) (*image.Gray, float64) { return stretched(g), 1 })
	}
	if s.Options.Bool("half_size") {
		r.retries = append(r.retries, func(g *image.Gray) (*image.Gray, float64) { return halved(g), 2 })
	}
	return sdk.ProcessorFunc(r.process), nil
}

// process adds a code node for each code.
func (r *reader) process(_ context.Context, f *sdk.Frame) error {
	for _, c := range r.read(f.Gray()) {
		f.Add("code", c.outline).SetConfidence(1).SetExtra("payload", c.payload).SetExtra("symbology", c.symbology)
	}
	return nil
}
