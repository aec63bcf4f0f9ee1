// Package sqlstore keeps a server's data in SQLite or PostgreSQL.
//
// Both run the same Go code, through bun: it writes the SQL of either from one query (quoting,
// RETURNING, upserts, identity columns), is a thin layer over database/sql, needs no generated
// code, and lets SQL be written by hand where that is clearer. The few differences that are left
// stand in sqlite.go and postgres.go. Migrations are a list of SQL files and a number (migrate.go):
// goose would bring the drivers of ten databases for what is fifty lines here, and commits each
// file by itself, where an upgrade should happen whole or not at all.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/uptrace/bun"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

const (
	// attempts bounds how often Update runs f when the database cannot put it in order with what
	// others write. Each waits longer than the one before, about two seconds in all.
	attempts  = 20
	firstWait = 2 * time.Millisecond
	maxWait   = 200 * time.Millisecond

	// A database that hangs makes nobody wait for longer than this who has set no time of their own. An
	// update may delete a stream with a million alerts.
	viewLimit   = 15 * time.Second
	updateLimit = time.Minute
)

// errHangs is why a transaction ended that nobody else has ended.
var errHangs = errors.New("the database does not answer")

// Store is a store.Store on a database.
//
// On SQLite updates run one after the other, and a View within an Update sees what was before it.
// An Update within an Update waits for itself, and so may a View within a View when many do it at
// once: they end when their context does.
type Store struct {
	write, read *bun.DB // the same one on PostgreSQL
	dialect     dialect
	sealer      Sealer // nil: everything is kept in plain text

	partSize, foldAt int // constants of these names, but for tests
	changes          atomic.Int64
	folder           *folder    // nil: the lists of alerts are not looked after
	folding          sync.Mutex // held by one who folds

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup // transactions; added to with mu held and closed unset
}

// dialect is what the databases do differently.
type dialect struct {
	name       string
	folder     string // of migrations
	view       *sql.TxOptions
	update     *sql.TxOptions
	fold       *sql.TxOptions
	contains   string           // a condition: column ?, text ?
	pairs      bool             // whether an index is searched by a pair of columns whose second is the ID
	lockEvents string           // taken before an event gets its ID; empty: not needed
	again      func(error) bool // whether the transaction may succeed when it is run again
	full       func(error) bool // whether the disk is full
	lockSchema string           // taken before migrations; empty: the transaction is alone
	lockFold   string           // says whether nobody else folds; empty: the transaction is alone
}

var _ store.Store = (*Store)(nil)

// Open opens the database at a URL, "sqlite:PATH" or "postgres://…", and brings it up to date. It
// fails with a *core.Fault: Invalid for a URL that is neither, Unsupported for a database that a
// newer program has written, Denied for one that was sealed with another key, Internal when the
// database cannot be reached.
func Open(ctx context.Context, url string, options ...Option) (*Store, error) {
	var s *Store
	var err error
	switch {
	case strings.HasPrefix(url, "sqlite:"):
		s, err = openSQLite(ctx, strings.TrimPrefix(url, "sqlite:"))
	case strings.HasPrefix(url, "postgres://"), strings.HasPrefix(url, "postgresql://"):
		s, err = openPostgres(url)
	default:
		f := core.Faultf(core.Invalid, "open database", "", "the URL names no database that is known")
		f.Hint = "use sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME"
		return nil, f
	}
	if err != nil {
		return nil, err
	}
	s.partSize, s.foldAt = partSize, foldAt
	for _, o := range options {
		o(s)
	}
	if err := s.migrate(ctx); err != nil {
		_ = s.Close()
		return nil, err
	}
	if err := s.adopt(ctx); err != nil {
		_ = s.Close()
		return nil, err
	}
	s.startFolding()
	return s, nil
}

// View implements store.Store.
func (s *Store) View(ctx context.Context, f func(store.Tx) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.running.Done()
	ctx, cancel := limited(ctx, viewLimit)
	defer cancel()
	err, _ := s.once(ctx, s.read, s.dialect.view, false, f)
	return err
}

// Update implements store.Store.
func (s *Store) Update(ctx context.Context, f func(store.Tx) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.running.Done()
	ctx, cancel := limited(ctx, updateLimit)
	defer cancel()
	wait := firstWait
	for n := 1; ; n++ {
		err, again := s.once(ctx, s.write, s.dialect.update, true, f)
		if !again || n == attempts {
			return err
		}
		// Half of the pause is chance, so that those who collided do not do so again.
		pause := time.NewTimer(wait/2 + rand.N(wait/2)) // #nosec G404 -- a pause, no secret
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return cancelled(ctx)
		}
		wait = min(2*wait, maxWait)
	}
}

// once runs f in one transaction, and says whether it is worth while to run it again. When f
// fails, panics or leaves its goroutine, the transaction is rolled back.
func (s *Store) once(ctx context.Context, db *bun.DB, o *sql.TxOptions, writes bool, f func(store.Tx) error) (_ error, again bool) {
	if ctx.Err() != nil {
		return cancelled(ctx), false
	}
	inner, err := db.BeginTx(ctx, o)
	if err != nil {
		return s.fault(ctx, err), s.dialect.again(err)
	}
	defer func() { _ = inner.Rollback() }() // does nothing after Commit
	t := &tx{ctx: ctx, db: inner, store: s, writes: writes}
	err = f(t)
	if t.broken != nil { // also when f has swallowed it: PostgreSQL keeps nothing after an error
		return s.fault(ctx, t.broken), ctx.Err() == nil && s.dialect.again(t.broken)
	}
	if err != nil {
		return err, false
	}
	if err := inner.Commit(); err != nil {
		return s.fault(ctx, err), ctx.Err() == nil && s.dialect.again(err)
	}
	s.changed(t.changed)
	return nil, false
}

// enter counts a transaction; the caller takes it back with running.Done.
func (s *Store) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return core.Faultf(core.Closed, "store", "", "the database is closed")
	}
	s.running.Add(1)
	return nil
}

// Close implements store.Store.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.running.Wait()
	s.stopFolding()
	err := s.read.Close()
	if s.write != s.read {
		err = errors.Join(s.write.Close(), err)
	}
	if err != nil {
		return core.Faultf(core.Internal, "close database", "", "%w", err)
	}
	return nil
}

// fault wraps an error of the database.
func (s *Store) fault(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return cancelled(ctx)
	}
	var known *core.Fault
	if errors.As(err, &known) {
		return err
	}
	f := core.Faultf(core.Internal, "store", "", "%s: %w", s.dialect.name, err)
	switch {
	case s.dialect.full(err):
		f.Hint = "the disk of the database is full: free some space"
	case s.dialect.again(err):
		f.Hint = "others write the same things at once: try again"
	}
	return f
}

// limited gives a transaction a time where the caller has not.
func limited(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, limit, errHangs)
}

func cancelled(ctx context.Context) error {
	if cause := context.Cause(ctx); errors.Is(cause, errHangs) {
		f := core.Faultf(core.Internal, "store", "", "%w", cause)
		f.Hint = "look after it, and try again"
		return f
	}
	return core.Faultf(core.Cancelled, "store", "", "%w", context.Cause(ctx))
}
