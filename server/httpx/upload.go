package httpx

import (
	"bufio"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"
)

// AnyBytes is the type of what is of no type that is known.
const AnyBytes = "application/octet-stream"

// MIMEType gives the type as it was sent, or that of any bytes when it is none.
func MIMEType(s string) string {
	if _, _, err := mime.ParseMediaType(s); err != nil || len(s) > 255 || CheckText(s) != nil {
		return AnyBytes
	}
	return s
}

// Upload hands the body of a request to save as it comes, with its type. A body of more than limit
// bytes fails with a *TooLargeError, an empty one with a *FormatError, one that breaks off, or of
// which a part takes longer than pause, with a *SyntaxError, whatever save makes of it.
func Upload(w http.ResponseWriter, r *http.Request, limit int64, pause time.Duration, save func(mime string, from io.Reader) error) error {
	if r.ContentLength > limit {
		return &TooLargeError{Limit: limit}
	}
	from := &upTo{control: http.NewResponseController(w), body: r.Body, left: limit, limit: limit, pause: pause}
	buffered := bufio.NewReaderSize(from, 64<<10)
	if _, err := buffered.Peek(1); errors.Is(err, io.EOF) {
		return &FormatError{Field: "body", Reason: "it is empty"}
	} else if err != nil {
		return from.err
	}
	err := save(MIMEType(r.Header.Get("Content-Type")), buffered)
	if from.err != nil {
		return from.err // why save could not read on
	}
	return err
}

// upTo reads a body of at most so many bytes, each part of it in time, and keeps what went wrong.
type upTo struct {
	control     *http.ResponseController
	body        io.Reader
	left, limit int64
	pause       time.Duration
	err         error
}

// Read fails with a *TooLargeError past the limit. Once all was read the deadline is taken back:
// net/http takes a later one for a client that has gone. After a failure it stays, because net/http
// then reads the rest.
func (u *upTo) Read(p []byte) (int, error) {
	_ = u.control.SetReadDeadline(time.Now().Add(u.pause)) // recorders of tests have none
	n, err := u.body.Read(p)
	if errors.Is(err, io.EOF) {
		_ = u.control.SetReadDeadline(time.Time{})
	}
	if u.left -= int64(n); u.left < 0 {
		err = &TooLargeError{Limit: u.limit}
	} else if err != nil && !errors.Is(err, io.EOF) {
		err = &SyntaxError{Reason: "the body broke off: " + err.Error()}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		u.err = err
	}
	return n, err
}
