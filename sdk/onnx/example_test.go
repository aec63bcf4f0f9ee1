package onnx_test

import (
	"context"
	"fmt"

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
