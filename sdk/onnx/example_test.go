package onnx_test

import (
	"context"
	"fmt"

	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/onnx"
	"gorgonia.org/tensor"
)

func Example() {
	m, err := onnx.Open("no_such_model.onnx", onnx.Config{Library: "/no/such/library.so"})
	if err != nil {
		fmt.Println("refused")
		return
	}
	defer m.Close()
	in := tensor.New(tensor.WithShape(1, 3, 256, 128), tensor.Of(tensor.Float32))
	out, err := m.Run(context.Background(), in)
	fmt.Println(out, err)
	// Output: refused
}

// Every capsule with a network has the same options, after its own.
func ExampleOptions() {
	for _, o := range onnx.Options(sdk.Float("threshold", 0.5, "Least confidence.", sdk.Between(0, 1))) {
		fmt.Printf("%s: %s %q\n", o.Name, o.Type, o.Limits())
	}
	// Output:
	// threshold: float "0..1"
	// model: str ""
	// onnxruntime: str ""
	// provider: enum ""
	// allow_fallback: bool ""
	// threads: int "1..64"
}
