package service

import "github.com/capstan-video/capstan/core"

// Viewing serves files and webcams again as video; server/rtsp does.
type Viewing interface {
	// URL gives where a player finds a stream, with what lets it in. host is the HOST or HOST:PORT
	// that the caller has reached this server by.
	URL(host string, n core.StreamNumber) (string, error)
	// Forget ends the serving of a stream that is gone or another. It does not wait.
	Forget(n core.StreamNumber)
}

// unseen serves nothing.
type unseen struct{}

func (unseen) URL(string, core.StreamNumber) (string, error) {
	f := unsupported("stream", "files and webcams are not served as video: rtsp.listen is off")
	f.Hint = "set rtsp.listen to HOST:PORT or auto"
	return "", f
}

func (unseen) Forget(core.StreamNumber) {}
