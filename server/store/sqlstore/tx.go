package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"time"

	"github.com/uptrace/bun"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

// tx is one transaction, used by one goroutine.
type tx struct {
	ctx     context.Context // of the transaction: it ends with it
	db      bun.Tx
	store   *Store
	writes  bool
	changed int   // alerts, about
	broken  error // the first failure of the database; the transaction can only be rolled back
}

var _ store.Tx = (*tx)(nil)

// failed keeps an error of the database, and gives the fault for it. "No rows" is none.
func (t *tx) failed(err error) error {
	if err == nil || errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if t.broken == nil {
		t.broken = err
	}
	return t.store.fault(t.ctx, err)
}

// writing refuses to write in a view.
func (t *tx) writing() error {
	if t.broken != nil {
		return t.store.fault(t.ctx, t.broken)
	}
	if !t.writes {
		return core.Faultf(core.Internal, "store", "", "a view does not write: use Update")
	}
	return nil
}

// exec runs a statement and gives how many rows it touched.
func (t *tx) exec(query string, args ...any) (int, error) {
	r, err := t.db.ExecContext(t.ctx, query, args...)
	if err != nil {
		return 0, t.failed(err)
	}
	n, err := r.RowsAffected()
	return int(n), t.failed(err)
}

// any says whether a query finds a row.
func (t *tx) any(query string, args ...any) (bool, error) {
	var one int
	err := t.db.NewRaw("SELECT 1 WHERE EXISTS ("+query+")", args...).Scan(t.ctx, &one)
	return one == 1, t.failed(err)
}

// need refuses an ID that a table does not have.
func (t *tx) need(noun, table string, id int64) error {
	ok, err := t.any("SELECT 1 FROM ? WHERE id = ?", bun.Ident(table), id)
	if err == nil && !ok {
		err = missing(noun, id)
	}
	return err
}

// needIf is need for an ID that may be 0: none.
func (t *tx) needIf(noun, table string, id int64) error {
	if id == 0 {
		return nil
	}
	return t.need(noun, table, id)
}

// row is a struct of bun's that stands for a V.
type row[V, R any] interface {
	*R
	value() (V, error)
}

// one gives what the row of an ID stands for.
func one[V, R any, P row[V, R]](t *tx, noun string, id int64) (v V, err error) {
	var r R
	err = t.db.NewSelect().Model(&r).Where("id = ?", id).Scan(t.ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return v, missing(noun, id)
	}
	if err := t.failed(err); err != nil {
		return v, err
	}
	if err := t.store.show(P(&r)); err != nil {
		return v, err
	}
	v, err = P(&r).value()
	return v, t.failed(err)
}

// save inserts row, whose ID is 0 and is then set, or changes the one of its ID. Texts of the row
// that are kept sealed are so after it.
func (t *tx) save(noun string, id int64, row any) error {
	if err := t.writing(); err != nil {
		return err
	}
	if err := t.store.hide(row); err != nil {
		return err
	}
	if id == 0 {
		_, err := t.db.NewInsert().Model(row).Returning("id").Exec(t.ctx)
		return t.failed(err)
	}
	r, err := t.db.NewUpdate().Model(row).WherePK().Exec(t.ctx)
	if err != nil {
		return t.failed(err)
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		return first(t.failed(err), missing(noun, id))
	}
	return nil
}

// remove deletes the row of an ID.
func (t *tx) remove(noun, table string, id int64) error {
	if err := t.writing(); err != nil {
		return err
	}
	n, err := t.exec("DELETE FROM ? WHERE id = ?", bun.Ident(table), id)
	if err == nil && n == 0 {
		err = missing(noun, id)
	}
	return err
}

// list gives what the rows of one table stand for; which adds to the query.
func list[V, R any, P row[V, R]](t *tx, which func(*bun.SelectQuery) *bun.SelectQuery) ([]V, error) {
	var rows []R
	if err := t.failed(which(t.db.NewSelect().Model(&rows)).Scan(t.ctx)); err != nil {
		return nil, err
	}
	out := make([]V, len(rows))
	for i := range rows {
		if err := t.store.show(P(&rows[i])); err != nil {
			return nil, err
		}
		v, err := P(&rows[i]).value()
		if err != nil {
			return nil, t.failed(err)
		}
		out[i] = v
	}
	return out, nil
}

// byID orders a list, of the rows whose column is the ID, or of all when that is 0.
func byID(column string, id int64) func(*bun.SelectQuery) *bun.SelectQuery {
	return func(q *bun.SelectQuery) *bun.SelectQuery {
		if id != 0 {
			q = q.Where("? = ?", bun.Ident(column), id)
		}
		return q.OrderExpr("id")
	}
}

// page checks a page, and gives what cuts it out of a query.
func page(noun string, p store.Page) (func(*bun.SelectQuery) *bun.SelectQuery, error) {
	if p.Limit < 0 || p.Offset < 0 {
		return nil, core.Faultf(core.Invalid, "store", noun, "a page has a limit and an offset of 0 or more, not %d and %d", p.Limit, p.Offset)
	}
	if p.Limit == 0 && p.Offset > 0 {
		p.Limit = math.MaxInt32 // SQLite knows an offset only beside a limit
	}
	return func(q *bun.SelectQuery) *bun.SelectQuery {
		if p.Limit > 0 {
			q = q.Limit(int64(p.Limit))
		}
		if p.Offset > 0 {
			q = q.Offset(int64(p.Offset))
		}
		return q
	}, nil
}

func missing(noun string, id int64) error {
	return core.Faultf(core.NotFound, "store", noun, "there is none with ID %d", id)
}

func taken(noun, format string, args ...any) error {
	return core.Faultf(core.Exists, "store", noun, format, args...)
}

// first gives the first of two that is an error.
func first(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// micros is how a time is kept. The zero time comes back as the zero time.
func micros(at time.Time) int64 { return at.UnixMicro() }

func fromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }

// orZero gives what a pointer points to, and the zero value for nil.
func orZero[V any](p *V) (v V) {
	if p != nil {
		v = *p
	}
	return v
}
