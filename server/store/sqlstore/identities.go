package sqlstore

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strings"

	"github.com/uptrace/bun"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

type identityRow struct {
	bun.BaseModel `bun:"table:identities,alias:identities"`

	ID         int64 `bun:",pk,autoincrement"`
	UniqueName string
	Nickname   string
	Metadata   string
	Search     string // both names and the words of the metadata, folded

	EmptyNickname bool
}

func (r *identityRow) value() (core.Identity, error) {
	meta, err := fromObject(r.Metadata)
	return core.Identity{ID: r.ID, UniqueName: r.UniqueName, Nickname: r.Nickname, Metadata: meta, EmptyNickname: r.EmptyNickname}, err
}

func (t *tx) Identities(f store.IdentityFilter) ([]core.Identity, int, error) {
	cut, err := page("identity", f.Page)
	if err != nil {
		return nil, 0, err
	}
	order, err := identityOrder(f)
	if err != nil {
		return nil, 0, err
	}
	for _, s := range []string{f.UniqueName, f.EncodedFor, f.Search} {
		if !storable(s) {
			return []core.Identity{}, 0, nil
		}
	}
	of := func(q *bun.SelectQuery) *bun.SelectQuery {
		if f.UniqueName != "" {
			q = q.Where("unique_name = ?", f.UniqueName)
		}
		if f.EncodedFor != "" {
			q = q.Where("EXISTS (SELECT 1 FROM vectors WHERE identity_id = identities.id AND class = ?)", f.EncodedFor)
		}
		if f.Search != "" {
			q = q.Where(t.store.dialect.contains, bun.Ident("search"), fold(f.Search))
		}
		return q
	}
	total, err := of(t.db.NewSelect().Model((*identityRow)(nil))).Count(t.ctx)
	if err := t.failed(err); err != nil {
		return nil, 0, err
	}
	all, err := list[core.Identity, identityRow](t, func(q *bun.SelectQuery) *bun.SelectQuery {
		return cut(of(q).OrderExpr(order))
	})
	return all, int(total), err
}

// identityOrder gives the order of a list.
func identityOrder(f store.IdentityFilter) (string, error) {
	way := " ASC"
	if f.Descending {
		way = " DESC"
	}
	switch f.SortBy {
	case "", "id":
		return "id" + way, nil
	case "unique_name", "nickname":
		return f.SortBy + way + ", id", nil
	case "metadata":
		return "metadata <> '{}'" + way + ", metadata" + way + ", id", nil
	}
	fault := core.Faultf(core.Invalid, "store", "identity", "identities are not sorted by %s", quoted(f.SortBy))
	fault.Hint = "use one of " + strings.Join(store.IdentityOrders, ", ")
	return "", fault
}

func (t *tx) Identity(id int64) (core.Identity, error) {
	return one[core.Identity, identityRow](t, "identity", id)
}

func (t *tx) SaveIdentity(i core.Identity) (int64, error) {
	c := check{noun: "identity"}
	c.name("the unique name", i.UniqueName)
	c.name("the nickname", i.Nickname)
	r := identityRow{
		ID: i.ID, UniqueName: i.UniqueName, Nickname: i.Nickname, Metadata: c.object("the metadata", i.Metadata),
		EmptyNickname: i.EmptyNickname && i.Nickname == "",
	}
	if c.err != nil {
		return 0, c.err
	}
	// The words are taken from what was written, as it will be read.
	meta, err := fromObject(r.Metadata)
	if err != nil {
		return 0, core.Faultf(core.Invalid, "store", "identity", "the metadata cannot be read back: %w", err)
	}
	r.Search = fold(strings.Join(append([]string{i.UniqueName, i.Nickname}, words(meta)...), "\n"))
	if err := t.needIf("identity", "identities", r.ID); err != nil {
		return 0, err
	}
	same, err := t.any("SELECT 1 FROM identities WHERE unique_name = ? AND id <> ?", r.UniqueName, r.ID)
	if err != nil {
		return 0, err
	}
	if same {
		return 0, taken("identity", "another one has the unique name %s", quoted(r.UniqueName))
	}
	err = t.save("identity", r.ID, &r)
	return r.ID, err
}

func (t *tx) DeleteIdentity(id int64) error { return t.remove("identity", "identities", id) }

type vectorRow struct {
	bun.BaseModel `bun:"table:vectors"`

	ID         int64 `bun:",pk,autoincrement"`
	IdentityID int64
	Class      string
	BlobID     int64 `bun:",nullzero"`
	Encoder    string
	Vector     []byte
	Digest     string
	Given      []byte // float64, little endian; nil: as the vector
}

func (r *vectorRow) value() (core.Vector, error) {
	v := core.Vector{
		ID: core.VectorID(r.ID), Identity: r.IdentityID, Class: r.Class, Blob: core.BlobID(r.BlobID),
		Encoder: core.EncoderID(r.Encoder), Values: make(core.Encoding, len(r.Vector)/4),
	}
	if len(r.Vector)%4 != 0 || len(r.Given) != 0 && len(r.Given) != 2*len(r.Vector) {
		return v, fmt.Errorf("vector %d has %d bytes, and %d as it was given, which are no float32 and float64 numbers", r.ID, len(r.Vector), len(r.Given))
	}
	for i := 0; i < len(r.Given); i += 8 {
		v.Given = append(v.Given, math.Float64frombits(binary.LittleEndian.Uint64(r.Given[i:])))
	}
	for i := range v.Values {
		v.Values[i] = math.Float32frombits(binary.LittleEndian.Uint32(r.Vector[4*i:]))
	}
	return v, nil
}

// float32s gives numbers as bytes, little endian.
func float32s(values core.Encoding) []byte {
	b := make([]byte, 0, 4*len(values))
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// float64s gives numbers as bytes, little endian; nil of none.
func float64s(numbers []float64) (b []byte) {
	for _, v := range numbers {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	return b
}

// chosen gives the condition of a filter.
func chosen(f store.VectorFilter) (condition string, args []any) {
	condition = "1 = 1"
	if f.Identity != 0 {
		condition += " AND identity_id = ?"
		args = append(args, f.Identity)
	}
	if f.Class != "" {
		condition += " AND class = ?"
		args = append(args, f.Class)
	}
	return condition, args
}

func (t *tx) Vectors(f store.VectorFilter) ([]core.Vector, error) {
	if !storable(f.Class) {
		return []core.Vector{}, nil
	}
	condition, args := chosen(f)
	return list[core.Vector, vectorRow](t, func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where(condition, args...).OrderExpr("id") })
}

func (t *tx) Vector(id core.VectorID) (core.Vector, error) {
	return one[core.Vector, vectorRow](t, "encoding", int64(id))
}

func (t *tx) SaveVector(v core.Vector) (core.VectorID, error) {
	c := check{noun: "encoding"}
	c.name("the class", v.Class)
	c.name("the encoder", string(v.Encoder))
	if n := len(v.Values); n == 0 || n > store.MaxVector {
		c.refuse("the vector", "has %d numbers: it must have 1 to %d", n, store.MaxVector)
	}
	if v.Given != nil && len(v.Given) != len(v.Values) {
		c.refuse("the vector", "has %d numbers, and %d as it was given", len(v.Values), len(v.Given))
	}
	if c.err != nil {
		return 0, c.err
	}
	bytes := float32s(v.Values)
	sum := sha256.Sum256(bytes)
	r := vectorRow{
		ID: int64(v.ID), IdentityID: v.Identity, Class: v.Class, BlobID: int64(v.Blob),
		Encoder: string(v.Encoder), Vector: bytes, Digest: hex.EncodeToString(sum[:]), Given: float64s(v.Given),
	}
	if err := t.admitVector(&r); err != nil {
		return 0, err
	}
	err := t.save("encoding", r.ID, &r)
	return core.VectorID(r.ID), err
}

// admitVector looks for what the row names, and for another vector of the same numbers.
func (t *tx) admitVector(r *vectorRow) error {
	if err := t.needIf("encoding", "vectors", r.ID); err != nil {
		return err
	}
	if err := t.need("identity", "identities", r.IdentityID); err != nil {
		return err
	}
	if err := t.needIf("blob", "blobs", r.BlobID); err != nil {
		return err
	}
	same, err := t.any("SELECT 1 FROM vectors WHERE identity_id = ? AND class = ? AND digest = ? AND id <> ?", r.IdentityID, r.Class, r.Digest, r.ID)
	if err == nil && same {
		err = taken("encoding", "identity %d has this vector for class %s", r.IdentityID, quoted(r.Class))
	}
	return err
}

func (t *tx) DeleteVectors(f store.VectorFilter) (int, error) {
	if err := t.writing(); err != nil || !storable(f.Class) {
		return 0, err
	}
	condition, args := chosen(f)
	return t.exec("DELETE FROM vectors WHERE "+condition, args...)
}

func (t *tx) DeleteVector(id core.VectorID) error { return t.remove("encoding", "vectors", int64(id)) }
