package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"github.com/capstan-video/capstan/server/store"
)

const (
	// foldAt is how many changes wait before they are added to the parts of lists of alerts: a page
	// far down reads them all.
	foldAt = 256
	// foldAtOnce bounds the changes of one transaction: other writers of SQLite wait for its end.
	foldAtOnce = 4000
)

// folder adds changes to the parts, whenever enough have been written; it is one goroutine of a
// Store. A change that it does not come to is not lost: it is in the database, and whoever reads a
// page counts it.
type folder struct {
	wake chan struct{}
	stop context.CancelFunc
	gone chan struct{}
}

// startFolding begins with what an earlier program has left.
func (s *Store) startFolding() {
	ctx, stop := context.WithCancel(context.Background())
	s.folder = &folder{wake: make(chan struct{}, 1), stop: stop, gone: make(chan struct{})}
	s.folder.wake <- struct{}{}
	go func() { // ends in stopFolding
		defer close(s.folder.gone)
		for {
			select {
			case <-ctx.Done():
				return
			case <-s.folder.wake:
			}
			// A database that fails now does so for those who write, too, and they say it.
			_ = s.foldAll(ctx)
		}
	}()
}

// stopFolding waits for the goroutine, if there is one.
func (s *Store) stopFolding() {
	if s.folder != nil {
		s.folder.stop()
		<-s.folder.gone
	}
}

// changed counts what a transaction has changed that was kept.
func (s *Store) changed(n int) {
	if n == 0 || s.changes.Add(int64(n)) < int64(s.foldAt) {
		return
	}
	s.changes.Store(0)
	select {
	case s.folder.wake <- struct{}{}:
	default: // it is awake
	}
}

// Fold adds what has happened to alerts to the counts that make pages far down a list fast. A Store
// does this by itself when enough has happened; nothing needs it to be right.
func (s *Store) Fold(ctx context.Context) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.running.Done()
	ctx, cancel := limited(ctx, updateLimit)
	defer cancel()
	for {
		err := s.foldAll(ctx)
		if !errors.Is(err, errElsewhere) {
			return err
		}
		select {
		case <-time.After(maxWait / 10):
		case <-ctx.Done():
			return cancelled(ctx)
		}
	}
}

// errElsewhere is why nothing was folded: another program is about it, or has just been.
var errElsewhere = errors.New("another program folds")

func (s *Store) foldAll(ctx context.Context) error {
	s.folding.Lock()
	defer s.folding.Unlock()
	after, more := int64(0), true
	for more {
		var err error
		if after, more, err = s.foldSome(ctx, after); err != nil {
			return err
		}
	}
	return nil
}

// foldSome adds the oldest changes after one; it gives after which one to go on, if there are more.
func (s *Store) foldSome(ctx context.Context, after int64) (last int64, more bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, updateLimit, errHangs)
	defer cancel()
	err, again := s.once(ctx, s.write, s.dialect.fold, true, func(inner store.Tx) (err error) {
		last, more, err = inner.(*tx).fold(after)
		return err
	})
	if again {
		return 0, false, errElsewhere
	}
	return last, more && err == nil, err
}

// fold adds the oldest changes after one to the parts: to look for them from the beginning would be
// to pass by all that were just deleted. Only when none are left are the parts what the alerts are,
// and can be cut anew. On PostgreSQL it sees one moment of the database, and the changes that it
// deletes are those that it has added; who writes others meanwhile is not in its way.
func (t *tx) fold(after int64) (last int64, more bool, err error) {
	if t.store.dialect.lockFold != "" {
		var mine bool
		if err := t.failed(t.db.NewRaw(t.store.dialect.lockFold).Scan(t.ctx, &mine)); err != nil {
			return 0, false, err
		}
		if !mine {
			return 0, false, errElsewhere
		}
	}
	var ids []int64
	q := t.db.NewSelect().Table("alert_changes").Column("change").Where("change > ?", after).OrderExpr("change").Limit(foldAtOnce)
	if err := t.failed(q.Scan(t.ctx, &ids)); err != nil {
		return 0, false, err
	}
	if len(ids) > 0 {
		last = ids[len(ids)-1]
		for _, statement := range foldStatements {
			if _, err := t.exec(statement, ids[0], last); err != nil {
				return 0, false, err
			}
		}
	}
	if len(ids) == foldAtOnce {
		return last, true, nil
	}
	// On PostgreSQL a change can come to be seen after one with a higher number.
	if more, err = t.any("SELECT 1 FROM alert_changes"); err != nil || more {
		return 0, more, err
	}
	return 0, false, t.cutAnew()
}

// foldStatements add the changes from one to another to the parts.
var foldStatements = []string{
	// A list that has no part for a change gets one from its beginning on.
	`INSERT INTO alert_parts (kind, owner, start_at, id, n_unverified, n_true, n_false)
	SELECT DISTINCT kind, owner, CAST(-9223372036854775807 AS BIGINT), 0, 0, 0, 0 FROM alert_changes_of AS c
	WHERE change BETWEEN ? AND ? AND NOT EXISTS (
		SELECT 1 FROM alert_parts AS p WHERE p.kind = c.kind AND p.owner = c.owner AND (p.start_at, p.id) <= (c.start_at, c.alert_id))`,
	`UPDATE alert_parts SET n_unverified = alert_parts.n_unverified + d.u, n_true = alert_parts.n_true + d.t, n_false = alert_parts.n_false + d.f
	FROM (
		SELECT number, CAST(SUM(CASE WHEN verified IS NULL THEN n ELSE 0 END) AS BIGINT) AS u,
			CAST(SUM(CASE WHEN verified THEN n ELSE 0 END) AS BIGINT) AS t, CAST(SUM(CASE WHEN NOT verified THEN n ELSE 0 END) AS BIGINT) AS f
		FROM (
			SELECT verified, n, (
				SELECT p.number FROM alert_parts AS p WHERE p.kind = c.kind AND p.owner = c.owner AND (p.start_at, p.id) <= (c.start_at, c.alert_id)
				ORDER BY p.start_at DESC, p.id DESC LIMIT 1
			) AS number FROM alert_changes_of AS c WHERE change BETWEEN ? AND ?
		) AS placed GROUP BY number
	) AS d WHERE alert_parts.number = d.number`,
	`DELETE FROM alert_changes WHERE change BETWEEN ? AND ?`,
}

// partRow is the beginning of a part of a list.
type partRow struct {
	Kind    int
	Owner   int64
	StartAt int64
	ID      int64
}

// cutAnew cuts parts that have become too long, and lists most of whose parts have become short; it
// forgets empty parts. It needs a transaction in which no changes are left.
func (t *tx) cutAnew() error {
	if _, err := t.exec("DELETE FROM alert_parts WHERE n_unverified = 0 AND n_true = 0 AND n_false = 0"); err != nil {
		return err
	}
	var long, sparse []partRow
	err := t.failed(t.db.NewRaw(`SELECT kind, owner, start_at, id FROM alert_parts
		WHERE n_unverified + n_true + n_false > ? ORDER BY kind, owner, start_at, id`, 2*t.store.partSize).Scan(t.ctx, &long))
	if err != nil {
		return err
	}
	for _, p := range long {
		if err := t.cutPart(alertList{p.Kind, p.Owner}, place{p.StartAt, p.ID}); err != nil {
			return err
		}
	}
	err = t.failed(t.db.NewRaw(`SELECT kind, owner FROM alert_parts GROUP BY kind, owner
		HAVING COUNT(*) > 8 AND SUM(n_unverified + n_true + n_false) < COUNT(*) * ? ORDER BY kind, owner`, t.store.partSize/4).Scan(t.ctx, &sparse))
	if err != nil {
		return err
	}
	for _, p := range sparse {
		if err := t.cut(alertList{p.Kind, p.Owner}, "1 = 1"); err != nil {
			return err
		}
	}
	return nil
}

// cutPart cuts the part that begins at a place.
func (t *tx) cutPart(l alertList, from place) error {
	var next []place
	err := t.failed(t.db.NewRaw("SELECT start_at, id FROM alert_parts WHERE kind = ? AND owner = ? AND (start_at, id) > (?, ?) ORDER BY start_at, id LIMIT 1",
		l.kind, l.owner, from.StartAt, from.ID).Scan(t.ctx, &next))
	switch {
	case err != nil:
		return err
	case len(next) == 0:
		return t.cut(l, "(start_at, id) >= (?, ?)", from.StartAt, from.ID)
	default:
		return t.cut(l, "(start_at, id) >= (?, ?) AND (start_at, id) < (?, ?)", from.StartAt, from.ID, next[0].StartAt, next[0].ID)
	}
}

// cut makes new parts of those that begin where within says, a condition on a place.
func (t *tx) cut(l alertList, within string, args ...any) error {
	_, err := t.exec("DELETE FROM alert_parts WHERE kind = ? AND owner = ? AND "+within, append([]any{l.kind, l.owner}, args...)...)
	if err != nil {
		return err
	}
	if l.kind != listOfAll {
		within += " AND ? = ?"
		args = append(args, bun.Ident(l.column()), l.owner)
	}
	size := t.store.partSize
	_, err = t.exec(`INSERT INTO alert_parts (kind, owner, start_at, id, n_unverified, n_true, n_false)
		SELECT ?, ?, MIN(start_at), MIN(CASE WHEN place % ? = 0 THEN id END),
			SUM(CASE WHEN verified IS NULL THEN 1 ELSE 0 END), SUM(CASE WHEN verified THEN 1 ELSE 0 END), SUM(CASE WHEN NOT verified THEN 1 ELSE 0 END)
		FROM (SELECT start_at, id, verified, ROW_NUMBER() OVER (ORDER BY start_at, id) - 1 AS place FROM alerts WHERE `+within+`) AS placed
		GROUP BY place / ?`, append(append([]any{l.kind, l.owner, size}, args...), size)...)
	return err
}
