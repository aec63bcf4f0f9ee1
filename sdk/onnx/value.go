package onnx

import (
	"fmt"

	ort "github.com/yalue/onnxruntime_go"
	"gorgonia.org/tensor"
)

// types are the element types that cross between the two kinds of tensors.
var types = map[ort.TensorElementDataType]tensor.Dtype{
	ort.TensorElementDataTypeFloat:  tensor.Float32,
	ort.TensorElementDataTypeDouble: tensor.Float64,
	ort.TensorElementDataTypeInt64:  tensor.Int64,
	ort.TensorElementDataTypeInt32:  tensor.Int32,
	ort.TensorElementDataTypeUint8:  tensor.Uint8,
}

// value makes a runtime tensor over the memory of d, which must stay in place until it is destroyed.
func value(d *tensor.Dense) (ort.Value, error) {
	shape := make(ort.Shape, len(d.Shape()))
	for i, n := range d.Shape() {
		shape[i] = int64(n)
	}
	switch data := d.Data().(type) {
	case []float32:
		return over(shape, data)
	case []float64:
		return over(shape, data)
	case []int64:
		return over(shape, data)
	case []int32:
		return over(shape, data)
	case []uint8:
		return over(shape, data)
	default:
		return nil, fmt.Errorf("a tensor of %v cannot be given to a model", d.Dtype())
	}
}

func over[T ort.TensorData](shape ort.Shape, data []T) (ort.Value, error) {
	v, err := ort.NewTensor(shape, data)
	if err != nil {
		return nil, err
	}
	return v, nil
}

// first gives what to pin so that the tensor's memory stays in place.
func first(d *tensor.Dense) any {
	switch data := d.Data().(type) {
	case []float32:
		return &data[0]
	case []float64:
		return &data[0]
	case []int64:
		return &data[0]
	case []int32:
		return &data[0]
	case []uint8:
		return &data[0]
	default:
		return nil
	}
}

// dense copies a runtime tensor, whose memory is the runtime's.
func dense(v ort.Value) (*tensor.Dense, error) {
	switch v := v.(type) {
	case *ort.Tensor[float32]:
		return copied(v.GetShape(), v.GetData()), nil
	case *ort.Tensor[float64]:
		return copied(v.GetShape(), v.GetData()), nil
	case *ort.Tensor[int64]:
		return copied(v.GetShape(), v.GetData()), nil
	case *ort.Tensor[int32]:
		return copied(v.GetShape(), v.GetData()), nil
	case *ort.Tensor[uint8]:
		return copied(v.GetShape(), v.GetData()), nil
	default:
		return nil, fmt.Errorf("an output is a %T, not a tensor of numbers", v)
	}
}

func copied[T any](shape ort.Shape, data []T) *tensor.Dense {
	own := append([]T(nil), data...)
	return tensor.New(tensor.WithShape(ints(shape)...), tensor.WithBacking(own))
}

func ints(shape ort.Shape) []int {
	s := make([]int, len(shape))
	for i, n := range shape {
		s[i] = int(n)
	}
	return s
}

// join puts the i-th tensors of all inputs one after the other along the first axis.
func join(all [][]*tensor.Dense, i int) *tensor.Dense {
	shape := all[0][i].Shape().Clone()
	shape[0] = len(all)
	switch all[0][i].Data().(type) {
	case []float32:
		return joined[float32](shape, all, i)
	case []float64:
		return joined[float64](shape, all, i)
	case []int64:
		return joined[int64](shape, all, i)
	case []int32:
		return joined[int32](shape, all, i)
	default:
		return joined[uint8](shape, all, i)
	}
}

func joined[T any](shape tensor.Shape, all [][]*tensor.Dense, i int) *tensor.Dense {
	data := make([]T, 0, shape.TotalSize())
	for _, in := range all {
		data = append(data, in[i].Data().([]T)...)
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(data))
}

// share gives the i-th of n parts of d along the first axis, over the same memory.
func share(d *tensor.Dense, i, n int) *tensor.Dense {
	shape := d.Shape().Clone()
	shape[0] = 1
	switch data := d.Data().(type) {
	case []float32:
		return shared1(shape, data, i, n)
	case []float64:
		return shared1(shape, data, i, n)
	case []int64:
		return shared1(shape, data, i, n)
	case []int32:
		return shared1(shape, data, i, n)
	default:
		return shared1(shape, data.([]uint8), i, n)
	}
}

func shared1[T any](shape tensor.Shape, data []T, i, n int) *tensor.Dense {
	each := len(data) / n
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(data[i*each:(i+1)*each:(i+1)*each]))
}
