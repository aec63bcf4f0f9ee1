// Package store keeps what a server has to remember, behind one interface; sqlstore is the real
// one, on SQLite and PostgreSQL, and storetest the conformance run for any.
package store

import (
	"context"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/core/zones"
)

// What can be kept at most; more is Invalid. Text is UTF-8 without the character NUL, which
// PostgreSQL cannot keep.
const (
	MaxName    = 1024      // bytes of a name: of a stream, zone, identity, class, capsule, user…
	MaxText    = 64 << 10  // bytes of other text: a URL, a pipeline
	MaxJSON    = 256 << 10 // bytes of metadata, options or an outline, as JSON
	MaxVector  = 16384     // numbers of a vector
	MaxPayload = 1 << 20   // bytes of an event's payload or of a value of the server's own
)

// Store opens transactions. Every method of it and of Tx fails with a *core.Fault: NotFound for an
// ID that is not there, Exists for a name or source that is taken, Invalid for what cannot be kept,
// Cancelled when ctx ends, Closed after Close, Internal when the database fails. Fault.On names the
// noun: "stream", "premises", "zone", "alarm", "condition", "alert", "blob", "identity",
// "encoding", "setting", "user", "session", "destination", "event", "delivery", "audit", "value". After NotFound, Exists and
// Invalid a transaction goes on as if nothing had been asked; after the others it keeps nothing.
// A Store is safe for use by several goroutines, a Tx is not. Times are kept to microseconds, and
// come back in UTC.
type Store interface {
	// View runs f in a transaction that only reads.
	View(ctx context.Context, f func(Tx) error) error
	// Update runs f in a transaction that is kept when f returns nil, and else leaves nothing
	// behind. f may run more than once, when the database asks for it.
	Update(ctx context.Context, f func(Tx) error) error
	// Close waits for transactions that run. It is safe to call twice.
	Close() error
}

// Page is a part of a list. Limit 0 is everything from Offset on.
type Page struct{ Limit, Offset int }

// AlertFilter chooses alerts; zero fields choose all.
type AlertFilter struct {
	Stream       core.StreamNumber
	Zone         core.ZoneID
	Alarm        core.AlarmID
	Verification []Verification // any of these; none: all
	Open         bool           // only those without an end
	After        AlertPlace     // only those that come after it; how many there are counts all
	Page         Page
}

// AlertPlace is where an alert stands in the list; the zero value is before the first.
type AlertPlace struct {
	Start time.Time
	ID    core.AlertID
}

// Verification is what somebody has found an alert to be.
type Verification string

// The verifications.
const (
	Unverified    Verification = "unverified"
	VerifiedTrue  Verification = "true"
	VerifiedFalse Verification = "false"
)

// IdentityFilter chooses identities; zero fields choose all.
type IdentityFilter struct {
	UniqueName string
	EncodedFor string // a class
	Search     string // a part of unique name, nickname or metadata, whatever the case
	SortBy     string // one of IdentityOrders; empty: id
	Descending bool
	Page       Page
}

// IdentityOrders are what identities can be sorted by: their fields. Names are in the order of their
// bytes, metadata in that of its JSON with the keys sorted, where there is none first. Those that are
// the same are in the order of IDs.
var IdentityOrders = []string{"id", "unique_name", "nickname", "metadata"}

// VectorFilter chooses vectors; zero fields choose all.
type VectorFilter struct {
	Identity int64
	Class    string
}

// Session is a signed-in user.
type Session struct {
	Token   string // hashed by the caller
	User    core.UserID
	Expires time.Time
}

// Event is something to be told outside, written in the transaction of what happened. It does not
// change, and goes when nobody is to be told of it any more.
type Event struct {
	ID      int64  // in order, from 1
	Key     string // the same however often it is told
	Stream  core.StreamNumber
	Kind    string // "alert.began", "alert.ended"…
	At      time.Time
	Payload []byte // what is told, as JSON
}

// Destination is where events are told.
type Destination struct {
	ID         int64
	Name       string // unique
	Kind       string // "webhook", "mqtt", "nats"
	URL        string
	Topic      string
	User       string
	Secret     string
	CA         string   // PEM
	Events     []string // kinds, or groups of them; empty: all
	Streams    []core.StreamNumber
	Zones      []core.ZoneID
	Alarms     []core.AlarmID
	Enabled    bool
	Configured bool   // it comes from the configuration
	Problem    string // why it is not enabled any more
}

// Delivery is one event on its way to one destination.
type Delivery struct {
	ID          int64
	Destination int64
	Event       Event
	Attempts    int
	Next        time.Time // when to try again
	Dead        bool      // given up
	Ended       time.Time // when it was given up
	Error       string    // of the last attempt
}

// Queue is what waits for one destination on one stream (0: on none): its oldest delivery has to go
// before the others.
type Queue struct {
	Stream core.StreamNumber
	Next   time.Time // when its oldest delivery is to be tried
}

// Tx is one transaction. Save methods create what has ID 0 and give the ID, and change what has
// one (NotFound if it is not there). Lists are in the order of IDs unless said otherwise, and are
// never nil. Deleting takes what hangs on it along: premises their streams; a stream its zones,
// alarms, alerts, settings; a zone its alarms; an alarm its alerts; alerts their frames that no
// other alert shows; an identity its vectors. A blob that is deleted leaves 0 where it was named.
// Metadata, options and totals are never nil when they come back, and a number of theirs is a
// float64, or a json.Number when that would be written otherwise than it was given.
type Tx interface {
	Streams(premises core.PremisesID) ([]core.StreamConfig, error) // 0: all
	Stream(core.StreamNumber) (core.StreamConfig, error)
	SaveStream(core.StreamConfig) (core.StreamNumber, error) // Exists: another one has the same connection
	DeleteStream(core.StreamNumber) error

	Premises() ([]core.Premises, error)
	OnePremises(core.PremisesID) (core.Premises, error)
	SavePremises(core.Premises) (core.PremisesID, error)
	DeletePremises(core.PremisesID) error

	Zones(core.StreamNumber) ([]core.Zone, error) // 0: all
	Zone(core.ZoneID) (core.Zone, error)
	SaveZone(core.Zone) (core.ZoneID, error) // Exists: the stream has another one of this name
	DeleteZone(core.ZoneID) error
	Totals(core.StreamNumber) (map[core.ZoneID]zones.Totals, error)
	SaveTotals(map[core.ZoneID]zones.Totals) error // of zones that are gone: left out

	Alarms(core.StreamNumber, core.ZoneID) ([]core.Alarm, error) // 0: any
	Alarm(core.AlarmID) (core.Alarm, error)
	SaveAlarm(core.Alarm) (core.Alarm, error) // with the IDs of its conditions; conditions left out are deleted
	DeleteAlarm(core.AlarmID) error

	// Alerts gives the newest first, and how many there are without the page.
	Alerts(AlertFilter) ([]core.Alert, int, error)
	Alert(core.AlertID) (core.Alert, error)
	SaveAlert(core.Alert) (core.AlertID, error)

	Blob(core.BlobID) (core.Blob, error)
	Blobs(Page) ([]core.Blob, error)
	// BlobsAfter gives the blobs with IDs above id, at most so many (0: all).
	BlobsAfter(id core.BlobID, most int) ([]core.Blob, error)
	SaveBlob(core.Blob) (core.BlobID, error)
	DeleteBlob(core.BlobID) error

	// Identities gives also how many there are without the page.
	Identities(IdentityFilter) ([]core.Identity, int, error)
	Identity(int64) (core.Identity, error)
	SaveIdentity(core.Identity) (int64, error) // Exists: the unique name is taken
	DeleteIdentity(int64) error

	Vectors(VectorFilter) ([]core.Vector, error)
	Vector(core.VectorID) (core.Vector, error)
	SaveVector(core.Vector) (core.VectorID, error)
	DeleteVectors(VectorFilter) (int, error)
	DeleteVector(core.VectorID) error

	// Settings gives what was set for a capsule, or (empty) for all, for every stream and globally.
	Settings(capsule string) ([]core.CapsuleSetting, error)
	SaveSetting(core.CapsuleSetting) error // without Active and options it is deleted
	DeleteSettings(capsule string) error

	Users() ([]core.User, error)
	User(core.UserID) (core.User, error)
	UserNamed(string) (core.User, error)
	SaveUser(core.User) (core.UserID, error) // Exists: the name is taken
	DeleteUser(core.UserID) error            // with its sessions and tokens

	Session(token string) (Session, error) // NotFound also when it has expired
	SaveSession(Session) error
	DeleteSessions(before time.Time) error
	DeleteSession(token string) error // one that is not there is no fault

	Tokens(core.UserID) ([]core.Token, error) // 0: all
	Token(core.TokenID) (core.Token, error)
	TokenHashed(hash string) (core.Token, error)
	SaveToken(core.Token) (core.TokenID, error) // Exists: another one has the hash
	DeleteToken(core.TokenID) error

	Destinations() ([]Destination, error)
	Destination(int64) (Destination, error)
	SaveDestination(Destination) (int64, error) // Exists: the name is taken
	DeleteDestination(int64) error              // with its deliveries

	// SaveEvent keeps a new event and a delivery of it to each of the destinations; without one it
	// keeps nothing and gives 0. Events get their IDs in the order in which they can be seen.
	SaveEvent(e Event, destinations ...int64) (int64, error)
	// Queues gives what waits for a destination, by stream; the one with the oldest event first.
	Queues(destination int64) ([]Queue, error)
	// Waiting gives the deliveries of a queue, oldest event first, at most so many (0: all).
	Waiting(destination int64, stream core.StreamNumber, most int) ([]Delivery, error)
	// DeadLetters gives what was given up, the newest event first, and how many there are without
	// the page. Destination 0 is any.
	DeadLetters(destination int64, p Page) ([]Delivery, int, error)
	Delivery(int64) (Delivery, error)
	SaveDelivery(Delivery) error // changes all but the destination and the event
	// DeleteDeliveries deletes deliveries, and events that nobody waits for any more. IDs that are not
	// there are left out; it gives how many were.
	DeleteDeliveries(ids ...int64) (int, error)
	// CountDeliveries gives how many wait for a destination, and how many were given up.
	CountDeliveries(destination int64) (waiting, dead int, err error)
	// Replay has dead letters of a destination (0: of all) tried again from that time on.
	Replay(destination int64, from time.Time) (int, error)
	// TrimDeadLetters deletes the dead letters of a destination that ended before then, and the
	// oldest beyond so many; it gives how many.
	TrimDeadLetters(destination int64, before time.Time, most int) (int, error)

	Audit(Page) ([]core.AuditEntry, error) // the newest first
	SaveAudit(core.AuditEntry) error
	// AuditBefore gives the newest entries with IDs below id (0: all), at most so many (0: all).
	AuditBefore(id int64, most int) ([]core.AuditEntry, error)

	// Value gives a value of the server's own, nil when there is none.
	Value(key string) ([]byte, error)
	SaveValue(key string, value []byte) error
}
