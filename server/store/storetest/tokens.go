package storetest

import (
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

func tokens(b *bench) {
	var anna, bert core.UserID
	var want []core.Token
	b.update(func(tx store.Tx) {
		anna = must[core.UserID](b)(tx.SaveUser(core.User{Name: "anna", Role: core.Admin}))
		bert = must[core.UserID](b)(tx.SaveUser(core.User{Name: "bert", Role: core.Viewer}))
		want = []core.Token{
			{User: anna, Name: "ci", Role: core.Editor, Hash: "aa", Created: at(1), Expires: at(9)},
			{User: bert, Name: "wall", Role: core.Viewer, Hash: "bb", Created: at(2)},
			{User: anna, Name: "ci", Role: core.Admin, Hash: "cc", Created: at(3), Used: at(4)},
		}
		for i := range want {
			want[i].ID = must[core.TokenID](b)(tx.SaveToken(want[i]))
		}
		want[1].Used = at(7)
		must[core.TokenID](b)(tx.SaveToken(want[1]))
	})
	b.view(func(tx store.Tx) {
		same(b, "all", must[[]core.Token](b)(tx.Tokens(0)), want)
		same(b, "of a user", must[[]core.Token](b)(tx.Tokens(anna)), []core.Token{want[0], want[2]})
		same(b, "one", must[core.Token](b)(tx.Token(want[1].ID)), want[1])
		same(b, "by hash", must[core.Token](b)(tx.TokenHashed("cc")), want[2])
		same(b, "of nobody", must[[]core.Token](b)(tx.Tokens(hugeID)), []core.Token{})
	})
	for _, hash := range []string{"", "AA", "aa ", "\x00", "' OR ''='"} {
		b.refuse(core.NotFound, "token", hash, func(tx store.Tx) error { _, err := tx.TokenHashed(hash); return err })
	}
	b.refuse(core.Exists, "token", "same hash", func(tx store.Tx) error {
		_, err := tx.SaveToken(core.Token{User: bert, Name: "x", Role: core.Viewer, Hash: "aa"})
		return err
	})
	b.refuse(core.NotFound, "user", "of nobody", func(tx store.Tx) error {
		_, err := tx.SaveToken(core.Token{User: hugeID, Name: "x", Role: core.Viewer, Hash: "dd"})
		return err
	})
	b.update(func(tx store.Tx) { b.ok(tx.DeleteToken(want[0].ID)) })
	b.refuse(core.NotFound, "token", "deleted twice", func(tx store.Tx) error { return tx.DeleteToken(want[0].ID) })
	b.update(func(tx store.Tx) { b.ok(tx.DeleteUser(anna)) })
	b.view(func(tx store.Tx) {
		same(b, "without their user", must[[]core.Token](b)(tx.Tokens(0)), want[1:2])
	})
}

func signedOut(b *bench) {
	soon := time.Now().Add(time.Hour).UTC()
	b.update(func(tx store.Tx) {
		u := must[core.UserID](b)(tx.SaveUser(core.User{Name: "anna", Role: core.Admin}))
		for _, token := range []string{"t1", "t2"} {
			b.ok(tx.SaveSession(store.Session{Token: token, User: u, Expires: soon}))
		}
	})
	b.update(func(tx store.Tx) {
		for _, token := range []string{"t1", "t1", "none", "\x00"} {
			b.ok(tx.DeleteSession(token))
		}
	})
	b.refuse(core.NotFound, "session", "signed out", func(tx store.Tx) error { _, err := tx.Session("t1"); return err })
	b.view(func(tx store.Tx) { must[store.Session](b)(tx.Session("t2")) })
}

// places reads lists on from where a reader was, while they grow at their beginning.
func places(b *bench) {
	all := b.someAlerts(23)
	var got []core.Alert
	f := store.AlertFilter{Page: store.Page{Limit: 5}}
	for range 10 {
		b.view(func(tx store.Tx) {
			list, n, err := tx.Alerts(f)
			b.ok(err)
			same(b, "how many", n, len(all))
			got = append(got, list...)
			if len(list) > 0 {
				last := list[len(list)-1]
				f.After = store.AlertPlace{Start: last.Start, ID: last.ID}
			}
		})
	}
	same(b, "alerts, page by page", got, all)
	b.update(func(tx store.Tx) {
		for range 5 {
			b.ok(tx.SaveAudit(core.AuditEntry{At: at(1), User: "a", Action: "b", Object: "c"}))
			b.addBlob(tx, "image/png")
		}
	})
	b.view(func(tx store.Tx) {
		entries := must[[]core.AuditEntry](b)(tx.Audit(store.Page{}))
		same(b, "audit from the newest", must[[]core.AuditEntry](b)(tx.AuditBefore(0, 2)), entries[:2])
		same(b, "audit on", must[[]core.AuditEntry](b)(tx.AuditBefore(entries[1].ID, 2)), entries[2:4])
		same(b, "audit's rest", must[[]core.AuditEntry](b)(tx.AuditBefore(entries[3].ID, 0)), entries[4:])
		files := must[[]core.Blob](b)(tx.Blobs(store.Page{}))
		same(b, "blobs", must[[]core.Blob](b)(tx.BlobsAfter(0, 2)), files[:2])
		same(b, "blobs on", must[[]core.Blob](b)(tx.BlobsAfter(files[1].ID, 0)), files[2:])
	})
}
