package sqlstore

import (
	"time"

	"github.com/uptrace/bun"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

type tokenRow struct {
	bun.BaseModel `bun:"table:tokens"`

	ID      int64 `bun:",pk,autoincrement"`
	UserID  int64
	Name    string
	Role    string
	Hash    string
	Created int64
	Expires *int64
	Used    *int64
}

func (r *tokenRow) value() (core.Token, error) {
	return core.Token{
		ID: core.TokenID(r.ID), User: core.UserID(r.UserID), Name: r.Name, Role: core.Role(r.Role), Hash: r.Hash,
		Created: fromMicros(r.Created), Expires: timeOrZero(r.Expires), Used: timeOrZero(r.Used),
	}, nil
}

func timeOrZero(us *int64) time.Time {
	if us == nil {
		return time.Time{}
	}
	return fromMicros(*us)
}

func orNull(at time.Time) *int64 {
	if at.IsZero() {
		return nil
	}
	us := micros(at)
	return &us
}

func (t *tx) Tokens(user core.UserID) ([]core.Token, error) {
	return list[core.Token, tokenRow](t, byID("user_id", int64(user)))
}

func (t *tx) Token(id core.TokenID) (core.Token, error) {
	return one[core.Token, tokenRow](t, "token", int64(id))
}

func (t *tx) TokenHashed(hash string) (core.Token, error) {
	none := core.Faultf(core.NotFound, "store", "token", "there is none of this hash")
	if !storable(hash) {
		return core.Token{}, none
	}
	found, err := list[core.Token, tokenRow](t, func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("hash = ?", hash) })
	if err != nil {
		return core.Token{}, err
	}
	if len(found) == 0 {
		return core.Token{}, none
	}
	return found[0], nil
}

func (t *tx) SaveToken(k core.Token) (core.TokenID, error) {
	c := check{noun: "token"}
	c.name("the name", k.Name)
	c.name("the role", string(k.Role))
	c.name("the hash", k.Hash)
	if c.err != nil {
		return 0, c.err
	}
	if err := t.writing(); err != nil {
		return 0, err
	}
	r := tokenRow{
		ID: int64(k.ID), UserID: int64(k.User), Name: k.Name, Role: string(k.Role), Hash: k.Hash,
		Created: micros(k.Created), Expires: orNull(k.Expires), Used: orNull(k.Used),
	}
	if err := t.needIf("token", "tokens", r.ID); err != nil {
		return 0, err
	}
	if err := t.need("user", "users", r.UserID); err != nil {
		return 0, err
	}
	same, err := t.any("SELECT 1 FROM tokens WHERE hash = ? AND id <> ?", r.Hash, r.ID)
	if err != nil {
		return 0, err
	}
	if same {
		return 0, taken("token", "another one has this hash")
	}
	err = t.save("token", r.ID, &r)
	return core.TokenID(r.ID), err
}

func (t *tx) DeleteToken(id core.TokenID) error { return t.remove("token", "tokens", int64(id)) }

func (t *tx) DeleteSession(token string) error {
	if err := t.writing(); err != nil || !storable(token) {
		return err
	}
	_, err := t.exec("DELETE FROM sessions WHERE token = ?", token)
	return err
}

func (t *tx) AuditBefore(id int64, most int) ([]core.AuditEntry, error) {
	cut, err := page("audit", store.Page{Limit: most})
	if err != nil {
		return nil, err
	}
	return list[core.AuditEntry, auditRow](t, func(q *bun.SelectQuery) *bun.SelectQuery {
		if id != 0 {
			q = q.Where("id < ?", id)
		}
		return cut(q.OrderExpr("id DESC"))
	})
}

func (t *tx) BlobsAfter(id core.BlobID, most int) ([]core.Blob, error) {
	cut, err := page("blob", store.Page{Limit: most})
	if err != nil {
		return nil, err
	}
	return list[core.Blob, blobRow](t, func(q *bun.SelectQuery) *bun.SelectQuery {
		return cut(q.Where("id > ?", int64(id)).OrderExpr("id"))
	})
}
