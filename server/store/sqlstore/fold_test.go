package sqlstore

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

// smallParts has lists cut into parts of a few alerts, so that a test has many, and changes added soon.
func smallParts(s *Store) { s.partSize, s.foldAt = 4, 8 }

// partsRight adds all changes, and holds each part of each list against the alerts themselves.
func partsRight(t testing.TB, s *Store) {
	t.Helper()
	ctx := context.Background()
	if err := s.Fold(ctx); err != nil {
		t.Fatal(err)
	}
	if left := changesWaiting(t, s); left != 0 {
		t.Fatalf("%d changes are left", left)
	}
	lists := []alertList{{}}
	for kind := listOfStream; kind <= listOfAlarm; kind++ {
		var owners []int64
		if err := s.read.NewRaw("SELECT DISTINCT ? FROM alerts", bun.Ident(alertList{kind: kind}.column())).Scan(ctx, &owners); err != nil {
			t.Fatal(err)
		}
		for _, owner := range owners {
			lists = append(lists, alertList{kind, owner})
		}
	}
	parts := 0
	for _, l := range lists {
		parts += partsOfList(t, s, l)
	}
	var all int
	if err := s.read.NewRaw("SELECT COUNT(*) FROM alert_parts").Scan(ctx, &all); err != nil || all != parts {
		t.Errorf("there are %d parts, of which %d are of lists that there are (%v)", all, parts, err)
	}
}

// partsRightAfter does the same to a database that a test has closed: where the counts were wrong, pages
// would have been right all the same.
func partsRightAfter(t testing.TB, url string) {
	s := open(t, url, smallParts).(*Store)
	defer s.Close()
	partsRight(t, s)
}

func changesWaiting(t testing.TB, s *Store) (n int) {
	t.Helper()
	if err := s.read.NewRaw("SELECT COUNT(*) FROM alert_changes").Scan(context.Background(), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// partsOfList looks after the parts of one list, and gives how many there are.
func partsOfList(t testing.TB, s *Store, l alertList) int {
	t.Helper()
	type counts struct{ NUnverified, NTrue, NFalse int }
	type row struct {
		StartAt, ID int64
		Verified    *bool
	}
	var rows []row
	if err := l.where(s.read.NewSelect().Table("alerts").Column("start_at", "id", "verified")).OrderExpr("start_at, id").Scan(context.Background(), &rows); err != nil {
		t.Fatal(err)
	}
	var parts []struct {
		StartAt, ID                int64
		NUnverified, NTrue, NFalse int
	}
	if err := s.read.NewRaw("SELECT start_at, id, n_unverified, n_true, n_false FROM alert_parts WHERE kind = ? AND owner = ? ORDER BY start_at, id", l.kind, l.owner).Scan(context.Background(), &parts); err != nil {
		t.Fatal(err)
	}
	for i, p := range parts {
		var want counts
		for _, r := range rows {
			at := place{r.StartAt, r.ID}
			if at.compare(place{p.StartAt, p.ID}) < 0 || i+1 < len(parts) && at.compare(place{parts[i+1].StartAt, parts[i+1].ID}) >= 0 {
				continue
			}
			switch {
			case r.Verified == nil:
				want.NUnverified++
			case *r.Verified:
				want.NTrue++
			default:
				want.NFalse++
			}
		}
		if got := (counts{p.NUnverified, p.NTrue, p.NFalse}); got != want {
			t.Errorf("part %d of list %v has %+v, and says %+v", i, l, want, got)
		}
		if n := p.NUnverified + p.NTrue + p.NFalse; n == 0 || n > 2*s.partSize {
			t.Errorf("part %d of list %v has %d alerts, want 1 to %d", i, l, n, 2*s.partSize)
		}
	}
	if len(rows) > 0 && (len(parts) == 0 || (place{parts[0].StartAt, parts[0].ID}).compare(place{rows[0].StartAt, rows[0].ID}) > 0) {
		t.Errorf("list %v begins before its first part", l)
	}
	if len(parts) > 8 && 4*len(rows) < len(parts)*s.partSize {
		t.Errorf("list %v has %d alerts in %d parts", l, len(rows), len(parts))
	}
	return len(parts)
}

// onBoth runs a test on a new database of each kind.
func onBoth(t *testing.T, run func(t *testing.T, url string)) {
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		run(t, "sqlite:"+filepath.Join(t.TempDir(), "capstan.db"))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		run(t, postgres(t))
	})
}

// alarmsOf makes streams with two alarms each.
func alarmsOf(t *testing.T, s *Store, streams int) (alarms []core.AlarmID) {
	t.Helper()
	err := s.Update(context.Background(), func(tx store.Tx) error {
		alarms = nil
		for i := range streams {
			n, err := tx.SaveStream(core.StreamConfig{Name: fmt.Sprint("cam", i), Connection: core.Connection{Kind: core.Webcam, Device: i}})
			if err != nil {
				return err
			}
			z, err := tx.SaveZone(core.Zone{Stream: n, Name: core.ScreenZone})
			if err != nil {
				return err
			}
			for range 2 {
				a, err := tx.SaveAlarm(core.Alarm{Zone: z})
				if err != nil {
					return err
				}
				alarms = append(alarms, a.ID)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return alarms
}

// saveAlerts saves alerts that begin at these times, of alarms in turns.
func saveAlerts(t *testing.T, s *Store, alarms []core.AlarmID, starts ...int64) {
	t.Helper()
	err := s.Update(context.Background(), func(tx store.Tx) error {
		for i, at := range starts {
			verified := []*bool{nil, new(bool)}[i/2%2]
			if _, err := tx.SaveAlert(core.Alert{Alarm: alarms[i%len(alarms)], Start: fromMicros(at), Verified: verified}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestParts looks after the parts themselves: the pages would be right without them, only slow.
func TestParts(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		s := open(t, url, smallParts).(*Store)
		defer s.Close()
		ctx := context.Background()
		alarms := alarmsOf(t, s, 2)
		for round := range int64(12) {
			var starts []int64
			for i := range int64(40) {
				starts = append(starts, []int64{round*1000 + i, 500 - i*round, 777, -i}[round%4])
			}
			saveAlerts(t, s, alarms, starts...)
			partsRight(t, s)
		}
		for _, statement := range []string{ // also who writes past this package
			"UPDATE alerts SET start_at = start_at + 5 WHERE id % 3 = 0", "UPDATE alerts SET end_at = 1000000 WHERE id % 2 = 0",
			"UPDATE alerts SET verified = TRUE WHERE id % 5 = 0", "UPDATE alerts SET verified = NULL", "DELETE FROM alerts WHERE id % 7 <> 0",
		} {
			if _, err := s.write.ExecContext(ctx, statement); err != nil {
				t.Fatal(err)
			}
			if waiting := changesWaiting(t, s); strings.Contains(statement, "end_at") != (waiting == 0) {
				t.Errorf("%s: %d changes", statement, waiting)
			}
			partsRight(t, s)
		}
		for i, id := range []core.AlarmID{alarms[0], alarms[2]} {
			err := s.Update(ctx, func(tx store.Tx) error {
				if i == 0 {
					return tx.DeleteAlarm(id)
				}
				return tx.DeleteStream(2)
			})
			if err != nil {
				t.Fatal(err)
			}
			partsRight(t, s)
		}
	})
}

// TestPartsLeaveAWay: how a page is come to, not only that it is right.
func TestPartsLeaveAWay(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		s := open(t, url, smallParts).(*Store)
		defer s.Close()
		alarms := alarmsOf(t, s, 2)
		starts := make([]int64, 400)
		for i := range starts {
			starts[i] = int64(i) * 10
		}
		saveAlerts(t, s, alarms, starts...)
		partsRight(t, s)
		err := s.View(context.Background(), func(inner store.Tx) error {
			for _, c := range []struct {
				f     store.AlertFilter
				total int
			}{
				{store.AlertFilter{}, 400}, {store.AlertFilter{Stream: 1}, 200}, {store.AlertFilter{Zone: 2}, 200}, {store.AlertFilter{Alarm: alarms[3]}, 100},
				{store.AlertFilter{Stream: 1, Zone: 1, Alarm: alarms[0]}, 100}, {store.AlertFilter{Verification: []store.Verification{store.VerifiedFalse}}, 200},
			} {
				for offset := 0; offset < c.total-3; offset += 3 {
					c.f.Page = store.Page{Limit: 3, Offset: offset}
					way, err := inner.(*tx).wayTo(c.f, c.f.Verification, c.total, 3)
					if err != nil {
						return err
					}
					if way.skip > s.partSize {
						t.Errorf("%+v: skips %d alerts, want %d at most", c.f, way.skip, s.partSize)
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.write.ExecContext(context.Background(), "UPDATE alerts SET verified = TRUE WHERE id > 3"); err != nil {
			t.Fatal(err)
		}
		partsRight(t, s)
		err = s.View(context.Background(), func(inner store.Tx) error {
			wanted := []store.Verification{store.Unverified}
			way, err := inner.(*tx).wayTo(store.AlertFilter{Verification: wanted, Page: store.Page{Limit: 2}}, wanted, 2, 2)
			if way.begins() || way.skip != 0 || way.from.StartAt > 10*int64(2*s.partSize) {
				t.Errorf("two alerts at the old end that nobody has looked at: %+v", way)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// TestPartsOfOldAlerts: alerts that an earlier program has kept are in the parts too.
func TestPartsOfOldAlerts(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		keepOld(t, url, 3, oldAlerts...)
		s := open(t, url).(*Store)
		defer s.Close()
		partsRight(t, s)
		saveAlerts(t, s, []core.AlarmID{1, 2, 3, 4}, -1, 7, 5000, 4999, 2500)
		partsRight(t, s)
	})
}

// oldAlerts are 9000 alerts, as they were kept before migration 0004.
var oldAlerts = []string{
	`INSERT INTO streams (name, kind, url, device, transcode, pipeline, source, keyframes_only, metadata, running)
		SELECT '', 'webcam', '', n, FALSE, '', n, FALSE, '{}', FALSE FROM (SELECT 1 AS n UNION ALL SELECT 2) AS numbers`,
	"INSERT INTO zones (stream_id, name, coords) SELECT id, 'Screen', '[]' FROM streams",
	"INSERT INTO alarms (zone_id, stream_id, name) SELECT z.id, stream_id, '' FROM zones AS z, (SELECT 1 UNION ALL SELECT 2) AS twice",
	`INSERT INTO alerts (alarm_id, zone_id, stream_id, start_at, verified)
		WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 8999)
		SELECT a.id, a.zone_id, a.stream_id, i * 7919 % 5000, CASE WHEN i % 10 < 7 THEN i % 2 = 0 END FROM n JOIN alarms AS a ON a.id = i % 4 + 1`,
}

// TestPartsBesideWriters: two programs write and fold at once, and one deletes; no writer fails, and
// no count is lost.
func TestPartsBesideWriters(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		programs := []*Store{open(t, url, smallParts).(*Store), open(t, url, smallParts).(*Store)}
		for _, s := range programs {
			defer s.Close()
		}
		alarms := alarmsOf(t, programs[0], 4)
		var wait, folding sync.WaitGroup
		done := make(chan struct{})
		for i := range len(alarms) / 2 {
			wait.Go(func() {
				beginAndVerify(t, programs[i%2], alarms[2*i], 60)
				beginAndVerify(t, programs[i%2], alarms[2*i+1], 60)
			})
		}
		for _, s := range programs {
			folding.Go(func() {
				for {
					select {
					case <-done:
						return
					case <-time.After(2 * time.Millisecond):
					}
					if err := s.Fold(context.Background()); err != nil {
						t.Errorf("fold: %v", err)
						return
					}
				}
			})
		}
		wait.Wait()
		if err := programs[0].Update(context.Background(), func(tx store.Tx) error { return tx.DeleteStream(1) }); err != nil {
			t.Error(err)
		}
		close(done)
		folding.Wait()
		partsRight(t, programs[1])
		var n, total int
		if err := programs[1].read.NewRaw("SELECT COUNT(*), (SELECT CAST(SUM(n_unverified + n_true + n_false) AS BIGINT) FROM alert_parts WHERE kind = 0) FROM alerts").Scan(context.Background(), &n, &total); err != nil {
			t.Fatal(err)
		}
		if n != 6*60 || total != n {
			t.Errorf("%d alerts, in parts of %d, want %d", n, total, 6*60)
		}
	})
}

// beginAndVerify has so many alerts of an alarm begin and be verified, a transaction each.
func beginAndVerify(t *testing.T, s *Store, alarm core.AlarmID, alerts int) {
	for i := range alerts {
		a := core.Alert{Alarm: alarm, Start: fromMicros(int64(i))}
		for range 2 {
			var id core.AlertID // apart from a: the transaction may run again
			err := s.Update(context.Background(), func(tx store.Tx) (err error) { id, err = tx.SaveAlert(a); return err })
			if err != nil {
				t.Errorf("alarm %d, alert %d: %v", alarm, i, err)
				return
			}
			a.ID, a.Verified = id, new(bool)
		}
	}
}
