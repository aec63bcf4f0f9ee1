// Package tensor turns frames into gorgonia tensors and has the geometry around models: crops,
// letterboxes and their way back, overlap, suppression, assignment and distances.
//
// Boxes have far edges (width = X2-X1), pictures are height by width by channel. Nothing here
// panics on bad input and nothing gives NaN for finite input.
package tensor
