// Package service is every rule of the server: who may do what to which stream, zone, alarm and
// identity. It speaks the nouns of core; dialects translate.
package service

import (
	"context"
	"io"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/core/zones"
	"github.com/capstan-video/capstan/server/store"
)

// Caller is who asks: a signed-in user, or everybody where authorization is off.
type Caller struct {
	User core.UserID // 0: nobody by name
	Name string
	Role core.Role
}

// Snapshot is what is known of all streams at one time. Streams without a result have an empty
// list; those that do not exist are not in it. It is shared: nobody changes it.
type Snapshot struct {
	Streams map[core.StreamNumber][]ZoneStatus

	ended []core.Alert // that it tells the end of
}

// ZoneStatus is a zone's status as it is told outside.
type ZoneStatus struct {
	zones.Status
	At     time.Time    // wall clock, the same for all zones of a stream
	Alarms []core.Alarm // of the zone
	Alerts []core.Alert // that are on, and those that ended since the subscriber's last snapshot
}

// StreamState is how a stream does.
type StreamState struct {
	Number    core.StreamNumber
	Analyzing bool
	State     string // connecting, running, stalled, failed, ended; empty: it is not running
	Since     time.Time
	Err       string
	Attempts  int
	Frames    uint64
	FPS       float64 // of the last seconds
	Dropped   uint64

	CPU     float64 // CPUs that it takes; 0: not measured yet
	Shed    float64 // frames a second that are left out, because results take longer than frames are apart
	ShedWhy string
}

// CapsuleInfo is a capsule as it is listed.
type CapsuleInfo struct {
	Declaration core.Declaration
	Values      map[string]any // what holds for all streams
	Active      bool           // for all streams
	Removable   bool           // it came over HTTP
	State       string         // running, restarting, broken
	Err         string         // why it does not run
}

// API is what a dialect may ask. All methods check the caller's role and inputs, take ctx's end
// as the end, and fail with a *core.Fault; where a vendor's contract tells faults of one kind
// apart, Fault.On names the noun ("stream", "zone", "alarm", "alert", "identity", "encoding",
// "capsule", "option", "blob", "premises", "user", "image", "detector", "encoder"). Beside these:
//
//   - Denied on "role" is a caller who may not, on "credentials" or "session" nobody who is known,
//     on "zone" a zone that stays as it is (Screen), on "admin" the last administrator
//   - pictures of identities: NotFound on "detection" is nothing of the class, Invalid on
//     "detection" more than one, Exists on "image" one that is encoded already
//   - vectors: Exhausted on "vector" is too long, Exists on "encoding" there already
//   - Exhausted, of Analyze, is more than the machine carries; Closed is a server that stops
type API interface {
	Ready() bool

	// Authenticate gives the caller for a name and password, and a new session's token.
	Authenticate(ctx context.Context, name, password string) (Caller, string, error)
	// Resume gives the caller of a session: Denied when it is unknown or over.
	Resume(ctx context.Context, token string) (Caller, error)
	// Anonymous gives the caller without credentials: Denied where authorization is on.
	Anonymous() (Caller, error)

	Streams(ctx context.Context, c Caller, premises core.PremisesID) ([]core.StreamConfig, error)
	Stream(ctx context.Context, c Caller, n core.StreamNumber) (core.StreamConfig, error)
	SaveStream(ctx context.Context, c Caller, s core.StreamConfig) (core.StreamConfig, error)
	DeleteStream(ctx context.Context, c Caller, n core.StreamNumber) error
	// StreamURL gives where a player finds the video; host is the one that the caller has asked.
	StreamURL(ctx context.Context, c Caller, n core.StreamNumber, host string) (string, error)
	Analyze(ctx context.Context, c Caller, n core.StreamNumber, on bool) error
	States(ctx context.Context, c Caller) ([]StreamState, error)

	Premises(ctx context.Context, c Caller) ([]core.Premises, error)
	OnePremises(ctx context.Context, c Caller, id core.PremisesID) (core.Premises, error)
	SavePremises(ctx context.Context, c Caller, p core.Premises) (core.Premises, error)
	DeletePremises(ctx context.Context, c Caller, id core.PremisesID) error

	Zones(ctx context.Context, c Caller, n core.StreamNumber) ([]core.Zone, error) // 0: all
	Zone(ctx context.Context, c Caller, id core.ZoneID) (core.Zone, error)
	// SaveZone saves a zone and, when alarms is not empty, makes them the zone's alarms.
	SaveZone(ctx context.Context, c Caller, z core.Zone, alarms []core.Alarm) (core.Zone, []core.Alarm, error)
	DeleteZone(ctx context.Context, c Caller, id core.ZoneID) error
	Alarms(ctx context.Context, c Caller, n core.StreamNumber, zone core.ZoneID) ([]core.Alarm, error)
	Alarm(ctx context.Context, c Caller, id core.AlarmID) (core.Alarm, error)
	SaveAlarm(ctx context.Context, c Caller, a core.Alarm) (core.Alarm, error)
	DeleteAlarm(ctx context.Context, c Caller, id core.AlarmID) error
	Alerts(ctx context.Context, c Caller, f store.AlertFilter) ([]core.Alert, int, error)
	Alert(ctx context.Context, c Caller, id core.AlertID) (core.Alert, error)
	VerifyAlert(ctx context.Context, c Caller, id core.AlertID, as *bool) error
	// AlertFrame gives a JPEG; the caller closes it. NotFound on "frame" when there is none.
	AlertFrame(ctx context.Context, c Caller, id core.AlertID) (io.ReadCloser, error)

	// Statuses gives the present snapshot. Alerts that ended are in it for a second.
	Statuses(ctx context.Context, c Caller) (*Snapshot, error)
	// Subscribe gives every later snapshot to the channel, the newest only when the reader is
	// slow, until ctx ends or the server closes; the channel is then closed. Every end of an alert
	// is in one of the snapshots that the reader gets, and in one alone.
	Subscribe(ctx context.Context, c Caller) (<-chan *Snapshot, error)

	Capsules(ctx context.Context, c Caller) ([]CapsuleInfo, error)
	Capsule(ctx context.Context, c Caller, name string) (CapsuleInfo, error)
	LoadCapsule(ctx context.Context, c Caller, blob core.BlobID, name string) (CapsuleInfo, error)
	UnloadCapsule(ctx context.Context, c Caller, name string) error
	// Setting gives what was set for a stream (0: what holds for all, complete).
	Setting(ctx context.Context, c Caller, capsule string, n core.StreamNumber) (core.CapsuleSetting, error)
	// SetOptions replaces the options that are set; with merge it changes those given, and a nil
	// value takes one back.
	SetOptions(ctx context.Context, c Caller, capsule string, n core.StreamNumber, options map[string]any, merge bool) error
	SetActive(ctx context.Context, c Caller, capsule string, n core.StreamNumber, active *bool) error
	// ProcessImage runs capsules on a picture (JPEG or PNG).
	ProcessImage(ctx context.Context, c Caller, picture []byte, capsules []string, options map[string]map[string]any) ([]*core.Node, error)

	Identities(ctx context.Context, c Caller, f store.IdentityFilter) ([]core.Identity, int, error)
	Identity(ctx context.Context, c Caller, id int64) (core.Identity, error)
	SaveIdentity(ctx context.Context, c Caller, i core.Identity) (core.Identity, error)
	DeleteIdentity(ctx context.Context, c Caller, id int64) error
	AddImage(ctx context.Context, c Caller, id int64, class string, blob core.BlobID) (core.Vector, error)
	AddVector(ctx context.Context, c Caller, id int64, class string, numbers []float64) (core.Vector, error)
	Vectors(ctx context.Context, c Caller, f store.VectorFilter) ([]core.Vector, error)
	Vector(ctx context.Context, c Caller, id core.VectorID) (core.Vector, error)
	DeleteVectors(ctx context.Context, c Caller, f store.VectorFilter) error
	DeleteVector(ctx context.Context, c Caller, id core.VectorID) error

	// SaveBlob keeps what it reads, which must not be empty.
	SaveBlob(ctx context.Context, c Caller, mime string, from io.Reader) (core.Blob, error)
	// Blob gives a file's content; the caller closes it.
	Blob(ctx context.Context, c Caller, id core.BlobID) (core.Blob, io.ReadSeekCloser, error)
	DeleteBlob(ctx context.Context, c Caller, id core.BlobID) error

	Users(ctx context.Context, c Caller) ([]core.User, error)
	User(ctx context.Context, c Caller, id core.UserID) (core.User, error)
	// SaveUser saves a user; an empty password keeps the old one.
	SaveUser(ctx context.Context, c Caller, u core.User, password string) (core.User, error)
	DeleteUser(ctx context.Context, c Caller, id core.UserID) error
}
