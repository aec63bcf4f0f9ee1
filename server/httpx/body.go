package httpx

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
)

// MaxDepth bounds how deep the JSON of a request may nest: nothing that we know goes below ten.
const MaxDepth = 100

// SyntaxError is a body that cannot be read at all.
type SyntaxError struct{ Reason string }

// Error gives the reason.
func (e *SyntaxError) Error() string { return e.Reason }

// FormatError is a body or a query that can be read, and has a value that is not allowed.
type FormatError struct {
	Field  string // "alarms[0].name"; empty: the whole
	Reason string
}

// Error names field and reason.
func (e *FormatError) Error() string {
	if e.Field == "" {
		return e.Reason
	}
	return e.Field + ": " + e.Reason
}

// TooLargeError is a body over the limit.
type TooLargeError struct{ Limit int64 } // bytes

// Error names the limit.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the body is larger than the %d bytes that are allowed here", e.Limit)
}

// ReadAll reads a body of at most limit bytes; a longer one is a *TooLargeError, one that breaks
// off a *SyntaxError.
func ReadAll(r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, &TooLargeError{limit}
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return nil, &SyntaxError{"the body broke off: " + err.Error()}
	}
	if int64(len(b)) > limit {
		return nil, &TooLargeError{limit}
	}
	return b, nil
}

// ReadJSON reads the body as one JSON value of at most limit bytes, whatever its content type.
func ReadJSON(r *http.Request, limit int64) (Value, error) {
	b, err := ReadAll(r, limit)
	if err != nil {
		return Value{}, err
	}
	return ParseJSON(b)
}

// ParseJSON checks that b is one JSON value in UTF-8, not too deep and without the character NUL,
// which databases refuse.
func ParseJSON(b []byte) (Value, error) {
	b = bytes.Trim(b, " \t\r\n") // what is space in JSON
	switch {
	case len(b) == 0:
		return Value{}, &SyntaxError{"the body is empty; it must be JSON"}
	case !utf8.Valid(b):
		return Value{}, &SyntaxError{"the body is not UTF-8"}
	case depth(b) > MaxDepth:
		return Value{}, &FormatError{Reason: fmt.Sprintf("the JSON nests deeper than %d", MaxDepth)}
	}
	if err := valid(b); err != nil {
		return Value{}, &SyntaxError{"the body is not JSON: " + err.Error()}
	}
	if hasNUL(b) {
		return Value{}, &FormatError{Reason: `a string has the character NUL (\u0000)`}
	}
	return Value{raw: b}, nil
}

func valid(b []byte) error {
	var raw json.RawMessage
	return json.Unmarshal(b, &raw)
}

// depth gives how deep brackets nest, in JSON or not.
func depth(b []byte) int {
	most, now, inString := 0, 0, false
	for i := 0; i < len(b); i++ {
		switch ch := b[i]; {
		case inString && ch == '\\':
			i++
		case ch == '"':
			inString = !inString
		case inString:
		case ch == '[' || ch == '{':
			now++
			most = max(most, now)
		case ch == ']' || ch == '}':
			now--
		}
	}
	return most
}

// hasNUL says whether valid JSON has an escaped NUL.
func hasNUL(b []byte) bool {
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' {
			if bytes.HasPrefix(b[i:], []byte(`\u0000`)) {
				return true
			}
			i++
		}
	}
	return false
}

// Marshal writes v as compact JSON, with <, > and & as they are.
func Marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// WriteJSON answers with v as JSON. A value without a JSON form is a fault of ours: it panics.
func WriteJSON(c *gin.Context, status int, v any) { writeJSON(c, status, "application/json", v) }

func writeJSON(c *gin.Context, status int, mime string, v any) {
	b, err := Marshal(v)
	if err != nil {
		panic(fmt.Errorf("answer to %s %s: %w", c.Request.Method, c.Request.URL.Path, err))
	}
	WriteBytes(c, status, mime, b)
}

// WriteBytes answers with b.
func WriteBytes(c *gin.Context, status int, mime string, b []byte) {
	h := c.Writer.Header()
	h.Set("Content-Type", mime)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	c.Status(status)
	c.Writer.WriteHeaderNow()
	_, _ = c.Writer.Write(b) // the client has gone; nobody is left to be told
}

// Query are the parameters of a request's address.
type Query struct{ values url.Values }

// ReadQuery parses the query: broken escapes, bytes that are not UTF-8, and NUL are refused.
func ReadQuery(r *http.Request) (Query, error) {
	v, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return Query{}, &FormatError{"query", err.Error()}
	}
	for name, list := range v {
		for _, s := range append(list, name) {
			if err := CheckText(s); err != nil {
				return Query{}, &FormatError{"query", err.Error()}
			}
		}
	}
	return Query{v}, nil
}

// CheckText refuses what is not UTF-8 and NUL.
func CheckText(s string) error {
	if !utf8.ValidString(s) {
		return errors.New("it is not UTF-8")
	}
	if strings.ContainsRune(s, 0) {
		return errors.New("it has the character NUL")
	}
	return nil
}

// Has says whether the parameter is there, empty or not.
func (q Query) Has(name string) bool { return q.values.Has(name) }

// Text gives a parameter; empty when it is not there.
func (q Query) Text(name string) string { return q.values.Get(name) }

// Int gives a whole number of at least 0, and whether the parameter is there and not empty.
func (q Query) Int(name string) (int64, bool, error) {
	s := q.values.Get(name)
	if s == "" {
		return 0, false, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, false, &FormatError{name, fmt.Sprintf("%.40q is not a whole number of at least 0", s)}
	}
	return n, true, nil
}
