package sqlstore

import (
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

type userRow struct {
	bun.BaseModel `bun:"table:users"`

	ID   int64 `bun:",pk,autoincrement"`
	Name string
	Role string
	Hash string
}

func (r *userRow) value() (core.User, error) {
	return core.User{ID: core.UserID(r.ID), Name: r.Name, Role: core.Role(r.Role), Hash: r.Hash}, nil
}

func (t *tx) Users() ([]core.User, error) { return list[core.User, userRow](t, byID("", 0)) }

func (t *tx) User(id core.UserID) (core.User, error) {
	return one[core.User, userRow](t, "user", int64(id))
}

func (t *tx) UserNamed(name string) (core.User, error) {
	if !storable(name) {
		return core.User{}, noUser(name)
	}
	found, err := list[core.User, userRow](t, func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("name = ?", name) })
	if err != nil {
		return core.User{}, err
	}
	if len(found) == 0 {
		return core.User{}, noUser(name)
	}
	return found[0], nil
}

func noUser(name string) error {
	return core.Faultf(core.NotFound, "store", "user", "there is none named %s", quoted(name))
}

func (t *tx) SaveUser(u core.User) (core.UserID, error) {
	c := check{noun: "user"}
	c.name("the name", u.Name)
	c.name("the role", string(u.Role))
	c.name("the password's hash", u.Hash)
	if c.err != nil {
		return 0, c.err
	}
	r := userRow{ID: int64(u.ID), Name: u.Name, Role: string(u.Role), Hash: u.Hash}
	if err := t.needIf("user", "users", r.ID); err != nil {
		return 0, err
	}
	same, err := t.any("SELECT 1 FROM users WHERE name = ? AND id <> ?", r.Name, r.ID)
	if err != nil {
		return 0, err
	}
	if same {
		return 0, taken("user", "another one is named %s", quoted(r.Name))
	}
	err = t.save("user", r.ID, &r)
	return core.UserID(r.ID), err
}

func (t *tx) DeleteUser(id core.UserID) error { return t.remove("user", "users", int64(id)) }

type sessionRow struct {
	bun.BaseModel `bun:"table:sessions"`

	Token   string `bun:",pk"`
	UserID  int64
	Expires int64
}

func (t *tx) Session(token string) (store.Session, error) {
	none := core.Faultf(core.NotFound, "store", "session", "there is none of this token, or it is over")
	if !storable(token) {
		return store.Session{}, none
	}
	var r sessionRow
	err := t.db.NewSelect().Model(&r).Where("token = ?", token).Where("expires > ?", micros(time.Now())).Scan(t.ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return store.Session{}, none
	}
	return store.Session{Token: r.Token, User: core.UserID(r.UserID), Expires: fromMicros(r.Expires)}, t.failed(err)
}

func (t *tx) SaveSession(s store.Session) error {
	if err := t.writing(); err != nil {
		return err
	}
	c := check{noun: "session"}
	c.name("the token", s.Token)
	if c.err != nil {
		return c.err
	}
	if err := t.need("user", "users", int64(s.User)); err != nil {
		return err
	}
	r := sessionRow{Token: s.Token, UserID: int64(s.User), Expires: micros(s.Expires)}
	_, err := t.db.NewInsert().Model(&r).On("CONFLICT (token) DO UPDATE").
		Set("user_id = EXCLUDED.user_id").Set("expires = EXCLUDED.expires").Exec(t.ctx)
	return t.failed(err)
}

func (t *tx) DeleteSessions(before time.Time) error {
	if err := t.writing(); err != nil {
		return err
	}
	_, err := t.exec("DELETE FROM sessions WHERE expires < ?", micros(before))
	return err
}

type auditRow struct {
	bun.BaseModel `bun:"table:audit"`

	ID     int64 `bun:",pk,autoincrement"`
	At     int64
	User   string
	Action string
	Object string
}

func (r *auditRow) value() (core.AuditEntry, error) {
	return core.AuditEntry{ID: r.ID, At: fromMicros(r.At), User: r.User, Action: r.Action, Object: r.Object}, nil
}

func (t *tx) Audit(p store.Page) ([]core.AuditEntry, error) {
	cut, err := page("audit", p)
	if err != nil {
		return nil, err
	}
	return list[core.AuditEntry, auditRow](t, func(q *bun.SelectQuery) *bun.SelectQuery { return cut(q.OrderExpr("id DESC")) })
}

// SaveAudit implements store.Tx. Entries are only ever added: one with an ID is refused.
func (t *tx) SaveAudit(a core.AuditEntry) error {
	if a.ID != 0 {
		return core.Faultf(core.Invalid, "store", "audit", "entry %d cannot be changed", a.ID)
	}
	r := auditRow{At: micros(a.At), User: tidy(a.User, store.MaxText), Action: tidy(a.Action, store.MaxText), Object: tidy(a.Object, store.MaxText)}
	return t.save("audit", 0, &r)
}
