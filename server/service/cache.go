package service

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

// maxRemembered bounds what is remembered; then all of it is forgotten.
const maxRemembered = 4096

// remembering is a store that remembers what was read of configuration and sessions until one of
// them changes, or for rememberFor: most requests ask for the same few lists, and each has to know
// who asks. What changes all the time (alerts, totals, events, identities) is not remembered.
type remembering struct {
	store.Store
	changes atomic.Uint64 // of what is remembered; counted when a transaction is kept

	mu   sync.Mutex
	read map[string]remembered
}

// rememberFor bounds for how long a change that another process has made is not seen.
const rememberFor = 2 * time.Second

type remembered struct {
	changes uint64 // there were when it was read
	until   time.Time
	value   any // nobody changes it
}

func newRemembering(s store.Store) *remembering {
	return &remembering{Store: s, read: map[string]remembered{}}
}

// Update counts a change when f has changed what is remembered. It does so too when the database
// does not say whether the transaction was kept.
func (r *remembering) Update(ctx context.Context, f func(store.Tx) error) error {
	changed := false
	err := r.Store.Update(ctx, func(tx store.Tx) error { return f(noting{tx, &changed}) })
	if changed {
		r.changes.Add(1)
	}
	return err
}

// recall gives what read gives, or has given since the last change. The value is shared.
func recall[V any](r *remembering, key string, read func() (V, error)) (V, error) {
	now, changes := time.Now(), r.changes.Load()
	r.mu.Lock()
	was, ok := r.read[key]
	r.mu.Unlock()
	if v, is := was.value.(V); ok && is && was.changes == changes && now.Before(was.until) {
		return v, nil
	}
	v, err := read()
	if err != nil {
		return v, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.read) >= maxRemembered {
		clear(r.read)
	}
	r.read[key] = remembered{changes, now.Add(rememberFor), v}
	return v, nil
}

// noting is a transaction that notes when something that is remembered changes.
type noting struct {
	store.Tx
	changed *bool
}

func (n noting) SaveStream(s core.StreamConfig) (core.StreamNumber, error) {
	*n.changed = true
	return n.Tx.SaveStream(s)
}

func (n noting) DeleteStream(number core.StreamNumber) error {
	*n.changed = true
	return n.Tx.DeleteStream(number)
}

func (n noting) DeletePremises(id core.PremisesID) error {
	*n.changed = true
	return n.Tx.DeletePremises(id)
}

func (n noting) DeleteBlob(id core.BlobID) error { // which streams name
	*n.changed = true
	return n.Tx.DeleteBlob(id)
}

func (n noting) SaveZone(z core.Zone) (core.ZoneID, error) {
	*n.changed = true
	return n.Tx.SaveZone(z)
}

func (n noting) DeleteZone(id core.ZoneID) error {
	*n.changed = true
	return n.Tx.DeleteZone(id)
}

func (n noting) SaveAlarm(a core.Alarm) (core.Alarm, error) {
	*n.changed = true
	return n.Tx.SaveAlarm(a)
}

func (n noting) DeleteAlarm(id core.AlarmID) error {
	*n.changed = true
	return n.Tx.DeleteAlarm(id)
}

func (n noting) SaveSetting(s core.CapsuleSetting) error {
	*n.changed = true
	return n.Tx.SaveSetting(s)
}

func (n noting) DeleteSettings(capsule string) error {
	*n.changed = true
	return n.Tx.DeleteSettings(capsule)
}

func (n noting) SaveUser(u core.User) (core.UserID, error) {
	*n.changed = true
	return n.Tx.SaveUser(u)
}

func (n noting) DeleteUser(id core.UserID) error {
	*n.changed = true
	return n.Tx.DeleteUser(id)
}

func (n noting) DeleteSession(token string) error {
	*n.changed = true
	return n.Tx.DeleteSession(token)
}

func (n noting) SaveToken(t core.Token) (core.TokenID, error) {
	*n.changed = true
	return n.Tx.SaveToken(t)
}

func (n noting) DeleteToken(id core.TokenID) error {
	*n.changed = true
	return n.Tx.DeleteToken(id)
}
