package service

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
	"github.com/capstan-video/capstan/server/store/sqlstore"
)

func newStore(t *testing.T) store.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "capstan.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// counting counts views.
type counting struct {
	store.Store
	views int
	fail  error
}

func (c *counting) View(ctx context.Context, f func(store.Tx) error) error {
	c.views++
	return c.Store.View(ctx, f)
}

func (c *counting) Update(ctx context.Context, f func(store.Tx) error) error {
	return errors.Join(c.Store.Update(ctx, f), c.fail)
}

func TestRemembering(t *testing.T) {
	t.Parallel()
	inner := &counting{Store: newStore(t)}
	r := newRemembering(inner)
	reads := 0
	names := func() string {
		t.Helper()
		list, err := recall(r, "streams", func() (list []core.StreamConfig, err error) {
			reads++
			err = r.View(t.Context(), func(tx store.Tx) error { list, err = tx.Streams(0); return err })
			return list, err
		})
		if err != nil {
			t.Fatal(err)
		}
		out := ""
		for _, s := range list {
			out += s.Name
		}
		return out
	}
	save := func(name string) error {
		return r.Update(t.Context(), func(tx store.Tx) error {
			_, err := tx.SaveStream(core.StreamConfig{Name: name, Connection: core.Connection{Kind: core.IPCamera, URL: "rtsp://" + name}})
			return err
		})
	}
	hold := func(what, want string, wantReads int) {
		t.Helper()
		if got := names(); got != want || reads != wantReads {
			t.Errorf("%s: %q after %d reads, want %q after %d", what, got, reads, want, wantReads)
		}
	}
	hold("nothing", "", 1)
	hold("nothing again", "", 1)
	if err := save("a"); err != nil {
		t.Fatal(err)
	}
	hold("one", "a", 2)
	hold("one again", "a", 2)
	_ = r.Update(t.Context(), func(tx store.Tx) error { return tx.SaveValue("x", []byte("y")) })
	hold("another thing has changed", "a", 2)
	inner.fail = errors.New("nobody knows whether it was kept")
	if err := save("b"); err == nil {
		t.Fatal("no error")
	}
	inner.fail = nil
	hold("an unclear end", "ab", 3)
	if _, err := recall(r, "bad", func() (int, error) { return 0, errors.New("not read") }); err == nil {
		t.Error("an error is lost")
	}
	if v, err := recall(r, "bad", func() (int, error) { return 7, nil }); v != 7 || err != nil {
		t.Errorf("an error was remembered: %d, %v", v, err)
	}
	for i := range 2 * maxRemembered {
		_, _ = recall(r, fmt.Sprint(i), func() (int, error) { return i, nil })
	}
	if len(r.read) > maxRemembered {
		t.Errorf("%d things are remembered", len(r.read))
	}
}

// TestNotingNotesAll: each change of what is remembered is noted.
func TestNotingNotesAll(t *testing.T) {
	t.Parallel()
	db := newStore(t)
	for name, change := range map[string]func(store.Tx){
		"SaveStream":     func(tx store.Tx) { _, _ = tx.SaveStream(core.StreamConfig{}) },
		"DeleteStream":   func(tx store.Tx) { _ = tx.DeleteStream(1) },
		"DeletePremises": func(tx store.Tx) { _ = tx.DeletePremises(1) },
		"DeleteBlob":     func(tx store.Tx) { _ = tx.DeleteBlob(1) },
		"SaveZone":       func(tx store.Tx) { _, _ = tx.SaveZone(core.Zone{}) },
		"DeleteZone":     func(tx store.Tx) { _ = tx.DeleteZone(1) },
		"SaveAlarm":      func(tx store.Tx) { _, _ = tx.SaveAlarm(core.Alarm{}) },
		"DeleteAlarm":    func(tx store.Tx) { _ = tx.DeleteAlarm(1) },
		"SaveSetting":    func(tx store.Tx) { _ = tx.SaveSetting(core.CapsuleSetting{}) },
		"DeleteSettings": func(tx store.Tx) { _ = tx.DeleteSettings("x") },
		"SaveUser":       func(tx store.Tx) { _, _ = tx.SaveUser(core.User{}) },
		"DeleteUser":     func(tx store.Tx) { _ = tx.DeleteUser(9) },
		"DeleteSession":  func(tx store.Tx) { _ = tx.DeleteSession("x") },
		"SaveToken":      func(tx store.Tx) { _, _ = tx.SaveToken(core.Token{}) },
		"DeleteToken":    func(tx store.Tx) { _ = tx.DeleteToken(1) },
	} {
		changed := false
		_ = db.Update(t.Context(), func(tx store.Tx) error {
			change(noting{tx, &changed})
			return errors.New("nothing is kept")
		})
		if !changed {
			t.Errorf("%s is not noted", name)
		}
	}
}
