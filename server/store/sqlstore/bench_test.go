package sqlstore

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

const (
	benchStreams = 10
	benchAlarms  = 10 // a stream
	benchAlerts  = 1_000_000
)

// When alert i begins.
const (
	eachSecond = "1700000000000000 + CAST(i AS BIGINT) * 1000000"
	// inAnHour is an hour in the middle of which nine of ten begin at the same moment.
	inAnHour = "1700000000000000 + CASE WHEN i < 50000 THEN CAST(i AS BIGINT) * 36000 WHEN i < 950000 THEN 1800000000 ELSE CAST(i - 900000 AS BIGINT) * 36000 END"
)

// fill makes a million alerts of a hundred alarms: the newest hundred are on, each tenth has been
// looked at.
func fill(b *testing.B, s *Store, start string) {
	b.Helper()
	ctx := context.Background()
	err := s.Update(ctx, func(tx store.Tx) error {
		for i := range benchStreams {
			n, err := tx.SaveStream(core.StreamConfig{Name: fmt.Sprint("cam", i), Connection: core.Connection{Kind: core.Webcam, Device: i}})
			if err != nil {
				return err
			}
			z, err := tx.SaveZone(core.Zone{Stream: n, Name: core.ScreenZone})
			if err != nil {
				return err
			}
			for range benchAlarms {
				if _, err := tx.SaveAlarm(core.Alarm{Zone: z}); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	verified := "CASE WHEN i % 10 = 0 THEN i % 20 = 0 END"
	statements := []string{
		fmt.Sprintf(`INSERT INTO alerts (alarm_id, zone_id, stream_id, start_at, end_at, verified)
			WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
			SELECT i %% 100 + 1, (i %% 100) / 10 + 1, (i %% 100) / 10 + 1, %s,
				CASE WHEN i < %d THEN %s + 500000 END, %s FROM n`, benchAlerts-1, start, benchAlerts-100, start, verified),
		`INSERT INTO alert_counts SELECT alarm_id, zone_id, stream_id,
			CASE WHEN verified IS NULL THEN 'unverified' WHEN verified THEN 'true' ELSE 'false' END, end_at IS NULL, COUNT(*)
			FROM alerts GROUP BY 1, 2, 3, 4, 5`,
	}
	for _, statement := range statements {
		began := time.Now()
		if _, err := s.write.ExecContext(ctx, statement); err != nil {
			b.Fatal(err)
		}
		b.Logf("%.20s…: %v", statement, time.Since(began))
	}
	began := time.Now()
	if err := s.Fold(ctx); err != nil {
		b.Fatal(err)
	}
	b.Logf("folded in %v", time.Since(began))
	if s.dialect.name == "SQLite" {
		return // a server does not analyze: the indexes have to be chosen without
	}
	if _, err := s.write.ExecContext(ctx, "VACUUM ANALYZE"); err != nil { // as PostgreSQL does by itself
		b.Fatal(err)
	}
}

// BenchmarkAlerts reads pages of a list of a million alerts, and writes some.
func BenchmarkAlerts(b *testing.B) {
	benchMillion(b, eachSecond, func(b *testing.B, s *Store) {
		b.Run("save", func(b *testing.B) { benchSave(b, s) })
		b.Run("verify", func(b *testing.B) { benchVerify(b, s) })
	})
}

// BenchmarkAlertsInAnHour reads pages of a list where nearly all begin at once.
func BenchmarkAlertsInAnHour(b *testing.B) {
	benchMillion(b, inAnHour, func(*testing.B, *Store) {})
}

// benchMillion reads pages of a million alerts that begin as start says, on both databases.
func benchMillion(b *testing.B, start string, then func(*testing.B, *Store)) {
	for _, name := range []string{"SQLite", "PostgreSQL"} {
		b.Run(name, func(b *testing.B) {
			url := "sqlite:" + filepath.Join(b.TempDir(), "capstan.db")
			if name == "PostgreSQL" {
				url = postgres(b)
			}
			s := open(b, url).(*Store)
			defer s.Close()
			fill(b, s, start)
			benchPages(b, s)
			then(b, s)
		})
	}
}

func benchPages(b *testing.B, s *Store) {
	for _, c := range []struct {
		name string
		f    store.AlertFilter
		all  int
	}{
		{"newest", store.AlertFilter{Page: store.Page{Limit: 100}}, benchAlerts},
		{"of a stream", store.AlertFilter{Stream: 3, Page: store.Page{Limit: 100}}, benchAlerts / 10},
		{"of a zone, next page", store.AlertFilter{Zone: 3, Page: store.Page{Limit: 100, Offset: 100}}, benchAlerts / 10},
		{"of an alarm", store.AlertFilter{Alarm: 7, Page: store.Page{Limit: 100}}, benchAlerts / 100},
		{"on", store.AlertFilter{Open: true, Page: store.Page{Limit: 100}}, 100},
		{"unverified", store.AlertFilter{Verification: []store.Verification{store.Unverified}, Page: store.Page{Limit: 100}}, benchAlerts * 9 / 10},
		{"verified as false", store.AlertFilter{Verification: []store.Verification{store.VerifiedFalse}, Page: store.Page{Limit: 100}}, benchAlerts / 20},
		{"of a stream, not false", store.AlertFilter{Stream: 3, Verification: []store.Verification{store.Unverified, store.VerifiedTrue}, Page: store.Page{Limit: 100}}, -1},
		{"none of an alarm", store.AlertFilter{Alarm: 2, Verification: []store.Verification{store.VerifiedTrue}, Page: store.Page{Limit: 100}}, 0},
		{"verified of an alarm", store.AlertFilter{Alarm: 11, Verification: []store.Verification{store.VerifiedTrue, store.VerifiedFalse}, Page: store.Page{Limit: 100}}, benchAlerts / 100},
		{"unverified of an alarm", store.AlertFilter{Alarm: 11, Verification: []store.Verification{store.Unverified}, Page: store.Page{Limit: 100}}, 0},
		{"offset 10000", store.AlertFilter{Page: store.Page{Limit: 100, Offset: 10_000}}, benchAlerts},
		{"middle", store.AlertFilter{Page: store.Page{Limit: 100, Offset: benchAlerts / 2}}, benchAlerts},
		{"oldest", store.AlertFilter{Page: store.Page{Limit: 100, Offset: benchAlerts - 100}}, benchAlerts},
		{"middle of a stream", store.AlertFilter{Stream: 3, Page: store.Page{Limit: 100, Offset: benchAlerts / 20}}, benchAlerts / 10},
		{"middle of a zone and its stream", store.AlertFilter{Stream: 3, Zone: 3, Page: store.Page{Limit: 100, Offset: benchAlerts / 20}}, benchAlerts / 10},
		{"middle of an alarm", store.AlertFilter{Alarm: 7, Page: store.Page{Limit: 100, Offset: benchAlerts / 200}}, benchAlerts / 100},
		{"middle, unverified", store.AlertFilter{Verification: []store.Verification{store.Unverified}, Page: store.Page{Limit: 100, Offset: benchAlerts * 9 / 20}}, benchAlerts * 9 / 10},
		{"middle, not false", store.AlertFilter{Verification: []store.Verification{store.Unverified, store.VerifiedTrue}, Page: store.Page{Limit: 100, Offset: benchAlerts * 19 / 40}}, benchAlerts * 19 / 20},
		{"middle, verified", store.AlertFilter{Verification: []store.Verification{store.VerifiedFalse, store.VerifiedTrue}, Page: store.Page{Limit: 100, Offset: benchAlerts / 20}}, benchAlerts / 10},
		{"middle of a stream, unverified", store.AlertFilter{Stream: 3, Verification: []store.Verification{store.Unverified}, Page: store.Page{Limit: 100, Offset: 40_000}}, -1},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				err := s.View(context.Background(), func(tx store.Tx) error {
					list, n, err := tx.Alerts(c.f)
					if c.all >= 0 && n != c.all || c.all > 0 && len(list) != 100 {
						b.Fatalf("%d alerts of %d, want 100 of %d", len(list), n, c.all)
					}
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// benchSave begins an alert and ends it, in a transaction each, beside the million.
func benchSave(b *testing.B, s *Store) {
	for b.Loop() {
		a := core.Alert{Alarm: 5, Start: time.Now()}
		for range 2 {
			err := s.Update(context.Background(), func(tx store.Tx) error {
				id, err := tx.SaveAlert(a)
				a.ID = id
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
			a.End = time.Now()
		}
	}
}

// benchVerify changes what alerts all over the list were found to be, in a transaction each.
func benchVerify(b *testing.B, s *Store) {
	for i := 0; b.Loop(); i++ {
		err := s.Update(context.Background(), func(tx store.Tx) error {
			a, err := tx.Alert(core.AlertID(1 + i*7919%benchAlerts))
			if err != nil {
				return err
			}
			was := a.Verified != nil && *a.Verified
			now := !was
			a.Verified = &now
			_, err = tx.SaveAlert(a)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
