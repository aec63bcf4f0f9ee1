package front

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// recorder notes the status. Whatever else the writer can do can be asked for: gin and websockets
// look for Flusher and Hijacker, http.ResponseController for Unwrap, io.Copy for ReaderFrom.
type recorder struct {
	http.ResponseWriter
	status int
	begun  bool
}

// WriteHeader implements http.ResponseWriter. The first status that is not informational counts.
func (r *recorder) WriteHeader(status int) {
	if !r.begun && (status >= 200 || status == http.StatusSwitchingProtocols) {
		r.begun, r.status = true, status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(p []byte) (int, error) {
	r.begun = true
	return r.ResponseWriter.Write(p)
}

// ReadFrom implements io.ReaderFrom, so that files are sent by the kernel.
func (r *recorder) ReadFrom(from io.Reader) (int64, error) {
	r.begun = true
	return io.Copy(r.ResponseWriter, from)
}

// Flush implements http.Flusher.
func (r *recorder) Flush() { _ = http.NewResponseController(r.ResponseWriter).Flush() }

// Hijack implements http.Hijacker.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(r.ResponseWriter).Hijack()
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
