package shm

import "github.com/capstan-video/capstan/core"

// View is a picture in an arena, ready to be named to a capsule. It owns nothing: it is valid
// for as long as the picture that gave it is held.
type View struct {
	Arena  *Arena // nil: no pixels
	Layout core.Layout
}
