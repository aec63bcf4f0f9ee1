package events

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/egress"
	"github.com/capstan-video/capstan/server/store"
)

// Config is what an outbox works with. Store is needed; the caller closes it after the outbox.
type Config struct {
	Store store.Store
	Log   hclog.Logger     // nil: none
	Now   func() time.Time // nil: time.Now

	// Destinations are those of the configuration; others are kept in the store. Of each, ID,
	// Configured and Problem are left out, and Enabled is taken as it is.
	Destinations []store.Destination
	Detections   bool // tell of detections too; the service asks for it with Outbox.Detections
	AllowLocal   bool // destinations may be on this machine or its link

	Retain      time.Duration // of dead letters; 0: 30 days
	MostDead    int           // dead letters of a destination; the oldest go; 0: 10,000
	MostWaiting int           // deliveries waiting for a destination; beyond it the oldest are dead; 0: 1,000,000
	AtOnce      int           // streams of a destination that are delivered side by side; 0: 4
	Timeout     time.Duration // of one attempt; 0: 10 s
	FirstPause  time.Duration // after an attempt that failed, doubling; 0: 1 s
	MostPause   time.Duration // 0: 10 min
	MaxAttempts int           // after which a delivery is dead; 0: 200
	MaxAge      time.Duration // of an event, after which a delivery that fails is dead; 0: 24 h
	Sweep       time.Duration // between two times that dead letters are looked through; 0: 1 min
}

// neverTaken is after how many attempts a delivery is dead that the destination says it will never
// take.
const neverTaken = 5

func (c Config) complete() (Config, error) {
	if c.Store == nil {
		return c, core.Faultf(core.Invalid, "events", "", "they need a store")
	}
	if c.Log == nil {
		c.Log = hclog.NewNullLogger()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Retain = cmp.Or(max(c.Retain, 0), 30*24*time.Hour)
	c.MostDead = cmp.Or(max(c.MostDead, 0), 10_000)
	c.MostWaiting = cmp.Or(max(c.MostWaiting, 0), 1_000_000)
	c.AtOnce = cmp.Or(max(c.AtOnce, 0), 4)
	c.Timeout = cmp.Or(max(c.Timeout, 0), 10*time.Second)
	c.FirstPause = cmp.Or(max(c.FirstPause, 0), time.Second)
	c.MostPause = max(c.FirstPause, cmp.Or(max(c.MostPause, 0), 10*time.Minute))
	c.MaxAttempts = cmp.Or(max(c.MaxAttempts, 0), 200)
	c.MaxAge = cmp.Or(max(c.MaxAge, 0), 24*time.Hour)
	c.Sweep = cmp.Or(max(c.Sweep, 0), time.Minute)
	return c, nil
}

// Outbox keeps events and delivers them. A nil Outbox keeps none. Its methods may be called from
// several goroutines.
type Outbox struct {
	cfg    Config
	log    hclog.Logger
	guard  egress.Guard
	server string // ID of the server

	life context.Context
	end  context.CancelFunc
	work sync.WaitGroup

	change sync.Mutex // orders Reload and Close; taken before mu

	mu     sync.Mutex
	lanes  map[int64]*lane
	counts map[int64]*counts
	closed bool
}

// serverKey names the value that is the server's ID.
const serverKey = "server_id"

// Open makes the configuration's destinations those of the store, and begins to deliver what waits.
// It fails with a *core.Fault: Invalid on "destination" names the destination that is wrong.
func Open(ctx context.Context, c Config) (*Outbox, error) {
	c, err := c.complete()
	if err != nil {
		return nil, err
	}
	o := &Outbox{cfg: c, log: c.Log.Named("events"), guard: egress.Guard{AllowLocal: c.AllowLocal}, lanes: map[int64]*lane{}, counts: map[int64]*counts{}}
	o.life, o.end = context.WithCancel(context.Background())
	if err := errors.Join(o.identify(ctx), o.configure(ctx)); err != nil {
		return nil, err
	}
	if err := o.Reload(ctx); err != nil {
		return nil, errors.Join(err, o.Close())
	}
	o.work.Go(o.sweep)
	return o, nil
}

// identify gives the server an ID at its first start.
func (o *Outbox) identify(ctx context.Context) error {
	return o.cfg.Store.Update(ctx, func(tx store.Tx) error {
		id, err := tx.Value(serverKey)
		if err == nil && id == nil {
			id = []byte(uuid.NewString())
			err = tx.SaveValue(serverKey, id)
		}
		o.server = string(id)
		if err == nil && len(id) < 8 {
			err = core.Faultf(core.Internal, "events", serverKey, "%q is no ID of a server", id)
		}
		return err
	})
}

// configure makes what the configuration says what the store has. Destinations that were configured
// before, and are not any more, go with what waits for them.
func (o *Outbox) configure(ctx context.Context) error {
	wanted := map[string]store.Destination{}
	for _, d := range o.cfg.Destinations {
		if err := Check(d, o.guard); err != nil {
			return core.Faultf(core.KindOf(err), "events", "destination", "%q of the configuration: %w", d.Name, err)
		}
		if _, twice := wanted[d.Name]; twice {
			return core.Faultf(core.Exists, "events", "destination", "%q is twice in the configuration", d.Name)
		}
		wanted[d.Name] = d
	}
	return o.cfg.Store.Update(ctx, func(tx store.Tx) error {
		list, err := tx.Destinations()
		if err != nil {
			return err
		}
		ids := map[string]int64{}
		for _, is := range list {
			d, keep := wanted[is.Name]
			switch {
			case keep && !is.Configured:
				return core.Faultf(core.Exists, "events", "destination", "%q of the configuration has the name of one that was made at run time: rename one", d.Name)
			case keep:
				ids[is.Name] = is.ID
			case is.Configured:
				if err := o.unconfigure(tx, is); err != nil {
					return err
				}
			}
		}
		for _, d := range o.cfg.Destinations { // in this order
			d.ID, d.Configured, d.Problem = ids[d.Name], true, ""
			if _, err := tx.SaveDestination(d); err != nil {
				return err
			}
		}
		return nil
	})
}

func (o *Outbox) unconfigure(tx store.Tx, d store.Destination) error {
	waiting, dead, err := tx.CountDeliveries(d.ID)
	if err != nil {
		return err
	}
	o.log.Warn("a destination is not in the configuration any more", "destination", d.Name, "waiting deliveries dropped", waiting, "dead letters dropped", dead)
	return tx.DeleteDestination(d.ID)
}

// Detections says whether detections are to be told of.
func (o *Outbox) Detections() bool { return o != nil && o.cfg.Detections }

// Guard says what destinations may be called.
func (o *Outbox) Guard() egress.Guard { return o.guard }

// Write keeps events in a transaction, for the destinations that want them. Wake is to be called
// when the transaction is kept.
func (o *Outbox) Write(tx store.Tx, list ...Event) error {
	if o == nil || len(list) == 0 {
		return nil
	}
	all, err := tx.Destinations()
	if err != nil {
		return err
	}
	for i := range list {
		var to []int64
		for j := range all {
			if wants(&all[j], &list[i]) {
				to = append(to, all[j].ID)
			}
		}
		if len(to) == 0 {
			continue
		}
		row, err := seal(o.server, list[i])
		if err != nil {
			return err
		}
		if _, err := tx.SaveEvent(row, to...); err != nil {
			return err
		}
	}
	return nil
}

// Wake has what waits delivered at once.
func (o *Outbox) Wake() {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, l := range o.lanes {
		l.nudge()
	}
}

// Reload follows the destinations of the store: to be called when they have changed. A destination
// that is delivered to in another way than before waits for the attempts that run.
func (o *Outbox) Reload(ctx context.Context) error {
	if o == nil {
		return nil
	}
	o.change.Lock()
	defer o.change.Unlock()
	var list []store.Destination
	err := o.cfg.Store.View(ctx, func(tx store.Tx) (err error) { list, err = tx.Destinations(); return err })
	if err != nil {
		return err
	}
	keep := map[int64]bool{}
	for _, d := range list {
		if d.Enabled {
			keep[d.ID] = true
		}
	}
	o.mu.Lock()
	closed := o.closed
	var old []*lane
	for id, l := range o.lanes {
		if !keep[id] || closed || l.ended() {
			old = append(old, l)
			delete(o.lanes, id)
		}
	}
	for _, d := range list {
		if o.counts[d.ID] == nil {
			o.counts[d.ID] = &counts{}
		}
		if l := o.lanes[d.ID]; l != nil && !same(l.dest, d) {
			old = append(old, l)
			delete(o.lanes, d.ID)
		}
	}
	o.mu.Unlock()
	for _, l := range old {
		l.halt()
	}
	for _, l := range old {
		<-l.done
	}
	if closed {
		return nil
	}
	return o.launch(list)
}

// launch starts the lanes that are missing. The change lock is held.
func (o *Outbox) launch(list []store.Destination) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, d := range list {
		if !d.Enabled || o.lanes[d.ID] != nil {
			continue
		}
		to, err := o.target(d).dial()
		if err != nil {
			o.log.Error("a destination cannot be delivered to", "destination", d.Name, "err", err)
			o.counts[d.ID].failed(err)
			continue
		}
		o.lanes[d.ID] = o.startLane(d, to)
	}
	return nil
}

func (o *Outbox) target(d store.Destination) target {
	return target{Destination: d, server: o.server, guard: o.guard, limit: o.cfg.Timeout, atOnce: o.cfg.AtOnce}
}

// Try sends a message of kind "test" to a destination, once and past the queues, and says what came
// of it.
func (o *Outbox) Try(ctx context.Context, d store.Destination, by string) error {
	if err := Check(d, o.guard); err != nil {
		return err
	}
	to, err := o.target(d).dial()
	if err != nil {
		return err
	}
	defer to.close()
	row, err := seal(o.server, Event{Kind: Test, At: o.cfg.Now(), Data: TestData{Destination: Named{d.ID, d.Name}, By: by}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.cfg.Timeout)
	defer cancel()
	if err := to.send(ctx, &message{key: row.Key, kind: row.Kind, body: row.Payload}); err != nil {
		f := core.Faultf(core.SourceBroken, "test", "destination", "%q did not take it: %w", d.Name, err)
		if errors.Is(err, &core.Fault{Kind: core.Denied}) {
			f.Kind = core.Denied
		}
		return f
	}
	return nil
}

// Stats is what is known of a destination's deliveries. Numbers of times are since the start.
type Stats struct {
	ID          int64
	Name        string
	Kind        string
	Enabled     bool
	Delivered   uint64    // messages that were taken
	Failed      uint64    // attempts that failed
	Died        uint64    // deliveries that were given up
	Dropped     uint64    // dead letters that were deleted for their age or number
	Waiting     int       // deliveries
	DeadLetters int       // that are kept
	LastError   string    // empty when the last attempt went well
	LastSuccess time.Time // zero: none since the start
}

// Stats gives what is known of all destinations, in the order of their IDs.
func (o *Outbox) Stats(ctx context.Context) (out []Stats, err error) {
	out = []Stats{}
	if o == nil {
		return out, nil
	}
	err = o.cfg.Store.View(ctx, func(tx store.Tx) error {
		list, err := tx.Destinations()
		if err != nil {
			return err
		}
		out = make([]Stats, len(list))
		for i, d := range list {
			s := Stats{ID: d.ID, Name: d.Name, Kind: d.Kind, Enabled: d.Enabled}
			if s.Waiting, s.DeadLetters, err = tx.CountDeliveries(d.ID); err != nil {
				return err
			}
			o.count(d.ID).into(&s)
			out[i] = s
		}
		return nil
	})
	return out, err
}

func (o *Outbox) count(id int64) *counts {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.counts[id] == nil {
		o.counts[id] = &counts{}
	}
	return o.counts[id]
}

// Close ends all attempts that run and waits for them; what was not taken is delivered after the
// next start. It is safe to call twice.
func (o *Outbox) Close() error {
	if o == nil {
		return nil
	}
	o.change.Lock()
	defer o.change.Unlock()
	o.mu.Lock()
	o.closed = true
	lanes := o.lanes
	o.lanes = map[int64]*lane{}
	o.mu.Unlock()
	o.end()
	for _, l := range lanes {
		l.halt()
	}
	for _, l := range lanes {
		<-l.done
	}
	o.work.Wait()
	return nil
}

// sweep deletes dead letters that are too old or too many.
func (o *Outbox) sweep() {
	for {
		if err := o.sweepOnce(o.life); err != nil && o.life.Err() == nil {
			o.log.Error("dead letters could not be looked through", "err", err)
		}
		t := time.NewTimer(o.cfg.Sweep)
		select {
		case <-t.C:
		case <-o.life.Done():
			t.Stop()
			return
		}
	}
}

// buriedAtOnce bounds how many deliveries one transaction gives up.
const buriedAtOnce = 1000

func (o *Outbox) sweepOnce(ctx context.Context) error {
	var list []store.Destination
	err := o.cfg.Store.View(ctx, func(tx store.Tx) (err error) { list, err = tx.Destinations(); return err })
	if err != nil {
		return err
	}
	for _, d := range list {
		for more := true; more; {
			buried, dropped := 0, 0
			err := o.cfg.Store.Update(ctx, func(tx store.Tx) (err error) {
				if buried, err = o.relieve(tx, d.ID); err == nil {
					dropped, err = tx.TrimDeadLetters(d.ID, o.cfg.Now().Add(-o.cfg.Retain), o.cfg.MostDead)
				}
				return err
			})
			if err != nil {
				return err
			}
			o.count(d.ID).swept(buried, dropped)
			if buried+dropped > 0 {
				o.log.Warn("deliveries were given up", "destination", d.Name, "too many waiting", buried, "dead letters dropped", dropped)
			}
			more = buried >= buriedAtOnce
		}
	}
	return nil
}

// relieve gives up some of what waits for a destination for which too much does: of the stream whose
// oldest event is the oldest.
func (o *Outbox) relieve(tx store.Tx, id int64) (int, error) {
	waiting, _, err := tx.CountDeliveries(id)
	over := min(waiting-o.cfg.MostWaiting, buriedAtOnce)
	if err != nil || over <= 0 {
		return 0, err
	}
	queues, err := tx.Queues(id)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, q := range queues {
		list, err := tx.Waiting(id, q.Stream, over-n)
		if err != nil {
			return n, err
		}
		for _, d := range list {
			d.Dead, d.Ended, d.Error = true, o.cfg.Now(), fmt.Sprintf("more than %d deliveries waited", o.cfg.MostWaiting)
			if err := tx.SaveDelivery(d); err != nil {
				return n, err
			}
		}
		if n += len(list); n >= over {
			break
		}
	}
	return n, nil
}
