package core

import (
	"math"
	"slices"
	"strconv"
	"time"
)

// StreamNumber is given by the store; it is unique within a server, from 1.
type StreamNumber int64

// ConnectionKind says where a stream's video comes from.
type ConnectionKind string

// The kinds of connection.
const (
	IPCamera ConnectionKind = "ip_camera"
	Webcam   ConnectionKind = "webcam"
	FileClip ConnectionKind = "file"
)

// Connection is how a stream's video is reached; the fields of other kinds are zero.
type Connection struct {
	Kind      ConnectionKind
	URL       string // ip_camera; its password is stored apart, encrypted
	Device    int    // webcam: the number N of /dev/videoN
	Blob      BlobID // file
	Transcode bool   // file: may be encoded anew to be shown
	Pipeline  string // a GStreamer pipeline of an administrator's own; empty: ours
}

// StreamConfig is a stream as it is configured, running or not.
type StreamConfig struct {
	Number        StreamNumber
	Name          string
	Premises      PremisesID // 0: none
	Connection    Connection
	KeyframesOnly bool
	Metadata      map[string]any // the user's own; kept as it is
	Analyze       bool           // it is to be running
	Said          Said
}

// Said is how a client has put the options of a stream, as far as that says nothing of what to do:
// they come back as they were given.
type Said struct {
	Keyframes bool           // KeyframesOnly was given, if only as false
	Transcode bool           // Connection.Transcode was given
	Other     map[string]any // options of the connection that nothing is made of; nil: none
}

// PremisesID is given by the store; it is unique within a server, from 1.
type PremisesID int64

// Premises are a place with streams.
type Premises struct {
	ID   PremisesID
	Name string
}

// BlobID is given by the store; it is unique within a server, from 1.
type BlobID int64

// Blob is a file that was given to the server.
type Blob struct {
	ID      BlobID
	Type    string // MIME, as it was given
	Size    int64  // bytes
	SHA256  string // hexadecimal
	Created time.Time
}

// VectorID is given by the store; it is unique within a server, from 1.
type VectorID int64

// Vector is an encoding of an identity: what its objects look like to one encoder.
type Vector struct {
	ID       VectorID
	Identity int64
	Class    string
	Blob     BlobID    // the picture that it was made from; 0: it was given as it is
	Encoder  EncoderID // empty: it was given as it is, for any encoder of the class
	Values   Encoding
	Given    []float64 // the numbers as they were given, where Values are rounded; else nil
}

// Rounded gives the numbers of a vector, and what they are rounded from; that is nil where they are
// written the same.
func Rounded(numbers []float64) (values Encoding, given []float64) {
	values = make(Encoding, len(numbers))
	for i, x := range numbers {
		values[i] = float32(x)
		if given == nil && asWritten(values[i]) != x {
			given = slices.Clone(numbers)
		}
	}
	return values, given
}

// Numbers gives the vector as it was given. The caller owns it.
func (v Vector) Numbers() []float64 {
	if v.Given != nil {
		return slices.Clone(v.Given)
	}
	out := make([]float64, len(v.Values))
	for i, x := range v.Values {
		out[i] = asWritten(x)
	}
	return out
}

// asWritten gives the number that x is written as: 0.1 of the float32 that is nearest to it.
func asWritten(x float32) float64 {
	if f := float64(x); f == math.Trunc(f) && math.Abs(f) < 1<<24 || math.IsNaN(f) {
		return f
	}
	f, err := strconv.ParseFloat(strconv.FormatFloat(float64(x), 'g', -1, 32), 64)
	if err != nil {
		return float64(x)
	}
	return f
}

// CapsuleSetting is what is set for a capsule, for all streams or for one.
type CapsuleSetting struct {
	Capsule string
	Stream  StreamNumber   // 0: for all
	Active  *bool          // nil: as for all streams, and those as the capsule comes
	Options map[string]any // those that were set only
}

// UserID is given by the store; it is unique within a server, from 1.
type UserID int64

// Role is what a user may do: all of what the roles before it may, and more.
type Role string

// The roles.
const (
	Viewer Role = "viewer" // look
	Editor Role = "editor" // change everything but users and the licence
	Admin  Role = "admin"
)

// May says whether a role may do what another one may.
func (r Role) May(need Role) bool {
	rank := map[Role]int{Viewer: 1, Editor: 2, Admin: 3}
	return rank[r] > 0 && rank[r] >= rank[need]
}

// User is somebody who may use the server.
type User struct {
	ID   UserID
	Name string
	Role Role
	Hash string // of the password, by bcrypt; never leaves the server
}

// AuditEntry is one change, by whom.
type AuditEntry struct {
	ID     int64
	At     time.Time
	User   string
	Action string // "create stream", "delete zone"…
	Object string // what it was done to
}
