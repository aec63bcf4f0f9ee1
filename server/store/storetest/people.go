package storetest

import (
	"math"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

func blobs(b *bench) {
	want := []core.Blob{
		{Type: "image/jpeg", Size: 0, SHA256: "", Created: at(5)},
		{Type: "application/octet-stream; x=\"y\"", Size: math.MaxInt64, SHA256: "00ff", Created: at(1)},
		{Created: time.Time{}},
	}
	b.update(func(tx store.Tx) {
		for i := range want {
			want[i].ID = must[core.BlobID](b)(tx.SaveBlob(want[i]))
		}
		want[0].Size, want[0].SHA256 = 77, "aa"
		must[core.BlobID](b)(tx.SaveBlob(want[0]))
	})
	b.view(func(tx store.Tx) {
		same(b, "all", must[[]core.Blob](b)(tx.Blobs(store.Page{})), want)
		same(b, "page", must[[]core.Blob](b)(tx.Blobs(store.Page{Limit: 1, Offset: 1})), want[1:2])
		same(b, "rest", must[[]core.Blob](b)(tx.Blobs(store.Page{Offset: 2})), want[2:])
		same(b, "one", must[core.Blob](b)(tx.Blob(want[1].ID)), want[1])
	})
	b.update(func(tx store.Tx) { b.ok(tx.DeleteBlob(want[0].ID)) })
	b.view(func(tx store.Tx) {
		same(b, "after deleting", must[[]core.Blob](b)(tx.Blobs(store.Page{})), want[1:])
	})
}

func identities(b *bench) {
	want := core.Identity{UniqueName: "anna", Nickname: "Änne", Metadata: map[string]any{"a": 1.5}}
	var other int64
	b.update(func(tx store.Tx) {
		want.ID = must[int64](b)(tx.SaveIdentity(want))
		other = must[int64](b)(tx.SaveIdentity(core.Identity{UniqueName: "Anna"})) // another case is another name
	})
	if want.ID < 1 {
		b.Errorf("ID %d", want.ID)
	}
	b.view(func(tx store.Tx) {
		same(b, "one", must[core.Identity](b)(tx.Identity(want.ID)), want)
		same(b, "no nickname", must[core.Identity](b)(tx.Identity(other)), core.Identity{ID: other, UniqueName: "Anna", Metadata: map[string]any{}})
	})
	b.refuse(core.Exists, "identity", "same name", func(tx store.Tx) error {
		_, err := tx.SaveIdentity(core.Identity{UniqueName: "anna"})
		return err
	})
	b.refuse(core.Exists, "identity", "renamed to another one's", func(tx store.Tx) error {
		_, err := tx.SaveIdentity(core.Identity{ID: other, UniqueName: "anna"})
		return err
	})
	want.UniqueName, want.Metadata = "hanna", map[string]any{}
	want.Nickname, want.EmptyNickname = "", true
	b.update(func(tx store.Tx) { must[int64](b)(tx.SaveIdentity(want)) })
	b.view(func(tx store.Tx) {
		same(b, "renamed", must[core.Identity](b)(tx.Identity(want.ID)), want)
		found, _, err := tx.Identities(store.IdentityFilter{Search: "HANNA"})
		b.ok(err)
		same(b, "found by its new name", found, []core.Identity{want})
	})
}

func vectors(b *bench) {
	odd := core.Encoding{0, float32(math.Copysign(0, -1)), math.SmallestNonzeroFloat32, math.MaxFloat32, float32(math.Inf(-1)), 0.1}
	var want []core.Vector
	b.update(func(tx store.Tx) {
		anna, bert := b.addIdentity(tx, "anna"), b.addIdentity(tx, "bert")
		picture := b.addBlob(tx, "image/png")
		want = []core.Vector{
			{Identity: anna, Class: "face", Blob: picture, Encoder: "encoder_face@1.0.0", Values: odd},
			{Identity: anna, Class: "car", Values: core.Encoding{1, 2}},
			{Identity: bert, Class: "face", Values: odd},
			{Identity: bert, Class: "face", Values: core.Encoding{1}},
			{Identity: bert, Class: "bus", Values: core.Encoding{0.1, -1}, Given: []float64{0.1234567890123456, math.Copysign(math.SmallestNonzeroFloat64, -1)}},
		}
		for i := range want {
			want[i].ID = must[core.VectorID](b)(tx.SaveVector(want[i]))
		}
		want[3].Given = []float64{3, math.MaxFloat64}
		want[3].Values, want[3].Encoder = core.Encoding{3, 4}, "other@2"
		must[core.VectorID](b)(tx.SaveVector(want[3]))
		must[core.VectorID](b)(tx.SaveVector(want[3])) // as it is already
	})
	get := must[[]core.Vector](b)
	b.view(func(tx store.Tx) {
		same(b, "all", get(tx.Vectors(store.VectorFilter{})), want)
		same(b, "of one", get(tx.Vectors(store.VectorFilter{Identity: want[0].Identity})), want[:2])
		same(b, "of a class", get(tx.Vectors(store.VectorFilter{Class: "car"})), want[1:2])
		same(b, "of both", get(tx.Vectors(store.VectorFilter{Identity: want[2].Identity, Class: "face"})), want[2:4])
		same(b, "of none", get(tx.Vectors(store.VectorFilter{Class: "\x00"})), []core.Vector{})
		one := must[core.Vector](b)(tx.Vector(want[0].ID))
		same(b, "one", one, want[0])
		same(b, "sign of zero", math.Signbit(float64(one.Values[1])), true)
	})
	b.update(func(tx store.Tx) {
		count := must[int](b)
		same(b, "none deleted", count(tx.DeleteVectors(store.VectorFilter{Class: "dog"})), 0)
		same(b, "deleted", count(tx.DeleteVectors(store.VectorFilter{Identity: want[2].Identity, Class: "face"})), 2)
		b.ok(tx.DeleteVector(want[1].ID))
		b.ok(tx.DeleteVector(want[4].ID))
		same(b, "left", get(tx.Vectors(store.VectorFilter{})), want[:1])
		same(b, "all deleted", count(tx.DeleteVectors(store.VectorFilter{})), 1)
		same(b, "nothing left", get(tx.Vectors(store.VectorFilter{})), []core.Vector{})
	})
}

func vectorsRefused(b *bench) {
	var anna int64
	var first, second core.VectorID
	b.update(func(tx store.Tx) {
		anna = b.addIdentity(tx, "anna")
		first = must[core.VectorID](b)(tx.SaveVector(core.Vector{Identity: anna, Class: "face", Values: core.Encoding{1, 2}}))
		second = must[core.VectorID](b)(tx.SaveVector(core.Vector{Identity: anna, Class: "face", Values: core.Encoding{2, 1}}))
	})
	save := func(v core.Vector) func(store.Tx) error {
		return func(tx store.Tx) error { _, err := tx.SaveVector(v); return err }
	}
	b.refuse(core.Exists, "encoding", "same numbers", save(core.Vector{Identity: anna, Class: "face", Encoder: "x@1", Values: core.Encoding{1, 2}}))
	b.refuse(core.Exists, "encoding", "changed to the same numbers", save(core.Vector{ID: second, Identity: anna, Class: "face", Values: core.Encoding{1, 2}}))
	b.refuse(core.NotFound, "identity", "nobody", save(core.Vector{Identity: hugeID, Class: "face", Values: core.Encoding{1}}))
	b.refuse(core.NotFound, "blob", "no picture", save(core.Vector{Identity: anna, Blob: hugeID, Class: "face", Values: core.Encoding{1}}))
	b.refuse(core.NotFound, "encoding", "not there", save(core.Vector{ID: hugeID, Identity: anna, Class: "face", Values: core.Encoding{1}}))
	b.refuse(core.Invalid, "encoding", "given otherwise", save(core.Vector{Identity: anna, Class: "face", Values: core.Encoding{1}, Given: []float64{1, 2}}))
	b.refuse(core.Invalid, "encoding", "no numbers", save(core.Vector{Identity: anna, Class: "face"}))
	b.refuse(core.Invalid, "encoding", "too many numbers", save(core.Vector{Identity: anna, Class: "face", Values: make(core.Encoding, store.MaxVector+1)}))
	b.update(func(tx store.Tx) { // the most that is allowed, and the same numbers for another class
		must[core.VectorID](b)(tx.SaveVector(core.Vector{Identity: anna, Class: "face", Values: make(core.Encoding, store.MaxVector)}))
		must[core.VectorID](b)(tx.SaveVector(core.Vector{Identity: anna, Class: "head", Values: core.Encoding{1, 2}}))
		same(b, "untouched", must[core.Vector](b)(tx.Vector(first)).Values, core.Encoding{1, 2})
	})
}

func settings(b *bench) {
	w := b.makeWorld("1")
	global := core.CapsuleSetting{Capsule: "b", Active: no(), Options: map[string]any{"threshold": 0.5, "names": []any{"x"}, "pause": "250ms"}}
	local := core.CapsuleSetting{Capsule: "b", Stream: w.stream, Options: map[string]any{"threshold": 1.0}}
	other := core.CapsuleSetting{Capsule: "a", Stream: w.stream, Active: yes(), Options: map[string]any{}}
	save := func(list ...core.CapsuleSetting) {
		b.update(func(tx store.Tx) {
			for _, s := range list {
				b.ok(tx.SaveSetting(s))
			}
		})
	}
	want := func(what, capsule string, list ...core.CapsuleSetting) {
		b.Helper()
		b.view(func(tx store.Tx) {
			same(b, what, must[[]core.CapsuleSetting](b)(tx.Settings(capsule)), append([]core.CapsuleSetting{}, list...))
		})
	}
	given := global
	given.Options = map[string]any{"threshold": 0.5, "names": []any{"x"}, "pause": 250 * time.Millisecond}
	save(local, given, core.CapsuleSetting{Capsule: "a", Stream: w.stream, Active: yes()})
	want("all", "", other, global, local)
	want("of one", "b", global, local)
	want("of none", "c")
	global.Active, global.Options = nil, map[string]any{"threshold": 0.1}
	save(global, core.CapsuleSetting{Capsule: "b", Stream: w.stream}, core.CapsuleSetting{Capsule: "nothing was set"})
	want("changed", "", other, global)
	b.refuse(core.NotFound, "stream", "no such stream", func(tx store.Tx) error {
		return tx.SaveSetting(core.CapsuleSetting{Capsule: "a", Stream: hugeID, Active: yes()})
	})
	save(local)
	b.update(func(tx store.Tx) { b.ok(tx.DeleteSettings("b")); b.ok(tx.DeleteSettings("c")) })
	want("deleted", "", other)
	b.update(func(tx store.Tx) { b.ok(tx.DeleteStream(w.stream)) })
	want("stream deleted", "")
}

func users(b *bench) {
	want := []core.User{{Name: "admin", Role: core.Admin, Hash: "$2a$10$x"}, {Name: "Ädmin", Role: core.Viewer}}
	soon := time.Now().Add(time.Hour).Truncate(time.Microsecond).UTC()
	b.update(func(tx store.Tx) {
		for i := range want {
			want[i].ID = must[core.UserID](b)(tx.SaveUser(want[i]))
		}
		want[1].Role = core.Editor
		must[core.UserID](b)(tx.SaveUser(want[1]))
		for token, until := range map[string]time.Time{"t1": soon, "t2": soon, "old": time.Now().Add(-time.Second)} {
			b.ok(tx.SaveSession(store.Session{Token: token, User: want[0].ID, Expires: until}))
		}
		b.ok(tx.SaveSession(store.Session{Token: "t2", User: want[1].ID, Expires: soon.Add(time.Hour)}))
	})
	b.view(func(tx store.Tx) {
		same(b, "all", must[[]core.User](b)(tx.Users()), want)
		same(b, "one", must[core.User](b)(tx.User(want[1].ID)), want[1])
		same(b, "by name", must[core.User](b)(tx.UserNamed("admin")), want[0])
		same(b, "session", must[store.Session](b)(tx.Session("t1")), store.Session{Token: "t1", User: want[0].ID, Expires: soon})
		same(b, "changed session", must[store.Session](b)(tx.Session("t2")), store.Session{Token: "t2", User: want[1].ID, Expires: soon.Add(time.Hour)})
	})
	for _, name := range []string{"", "Admin", "admin ", "\x00", "\xff", "admin' OR '1'='1"} {
		b.refuse(core.NotFound, "user", name, func(tx store.Tx) error { _, err := tx.UserNamed(name); return err })
	}
	for _, token := range []string{"old", "T1", "", "\x00"} {
		b.refuse(core.NotFound, "session", token, func(tx store.Tx) error { _, err := tx.Session(token); return err })
	}
	b.refuse(core.Exists, "user", "same name", func(tx store.Tx) error { _, err := tx.SaveUser(core.User{Name: "admin"}); return err })
	b.refuse(core.Exists, "user", "renamed", func(tx store.Tx) error {
		_, err := tx.SaveUser(core.User{ID: want[1].ID, Name: "admin"})
		return err
	})
	b.refuse(core.NotFound, "user", "session of nobody", func(tx store.Tx) error {
		return tx.SaveSession(store.Session{Token: "t3", User: hugeID, Expires: soon})
	})
	b.update(func(tx store.Tx) { b.ok(tx.DeleteSessions(soon.Add(time.Minute))) })
	b.refuse(core.NotFound, "session", "deleted", func(tx store.Tx) error { _, err := tx.Session("t1"); return err })
	b.update(func(tx store.Tx) {
		must[store.Session](b)(tx.Session("t2"))
		b.ok(tx.DeleteUser(want[1].ID))
	})
	b.refuse(core.NotFound, "session", "its user is deleted", func(tx store.Tx) error { _, err := tx.Session("t2"); return err })
}

func audit(b *bench) {
	var want []core.AuditEntry
	b.update(func(tx store.Tx) {
		for i, user := range []string{"admin", "", "eve\x00\xff"} {
			b.ok(tx.SaveAudit(core.AuditEntry{At: at(i), User: user, Action: "delete zone", Object: "zone 7"}))
		}
	})
	b.view(func(tx store.Tx) {
		want = must[[]core.AuditEntry](b)(tx.Audit(store.Page{}))
		same(b, "page", must[[]core.AuditEntry](b)(tx.Audit(store.Page{Limit: 1, Offset: 1})), want[1:2])
	})
	if len(want) != 3 || want[0].ID <= want[1].ID {
		b.Fatalf("entries %+v, want 3, newest first", want)
	}
	want[0].ID, want[2].ID = 0, 0
	same(b, "newest", want[0], core.AuditEntry{At: at(2), User: "eve\uFFFD", Action: "delete zone", Object: "zone 7"})
	same(b, "oldest", want[2], core.AuditEntry{At: at(0), User: "admin", Action: "delete zone", Object: "zone 7"})
	b.refuse(core.Invalid, "audit", "change", func(tx store.Tx) error { return tx.SaveAudit(core.AuditEntry{ID: 1}) })
}

func values(b *bench) {
	get := must[[]byte](b)
	b.update(func(tx store.Tx) {
		same(b, "none", get(tx.Value("key")), []byte(nil))
		b.ok(tx.SaveValue("key", []byte{0, 1, 255}))
		b.ok(tx.SaveValue("empty", []byte{}))
		b.ok(tx.SaveValue("gone", []byte{1}))
		b.ok(tx.SaveValue("gone", nil))
		b.ok(tx.SaveValue("never there", nil))
		b.ok(tx.SaveValue("big", make([]byte, store.MaxPayload)))
	})
	b.update(func(tx store.Tx) {
		same(b, "kept", get(tx.Value("key")), []byte{0, 1, 255})
		same(b, "another case", get(tx.Value("Key")), []byte(nil))
		same(b, "no text", get(tx.Value("\x00")), []byte(nil))
		same(b, "empty", get(tx.Value("empty")), []byte{})
		same(b, "deleted", get(tx.Value("gone")), []byte(nil))
		same(b, "big", len(get(tx.Value("big"))), store.MaxPayload)
		b.ok(tx.SaveValue("key", []byte("new")))
		same(b, "changed", get(tx.Value("key")), []byte("new"))
	})
	b.refuse(core.Invalid, "value", "too big", func(tx store.Tx) error { return tx.SaveValue("key", make([]byte, store.MaxPayload+1)) })
}
