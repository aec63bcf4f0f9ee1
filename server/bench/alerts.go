package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
	"github.com/capstan-video/capstan/server/store/pgtest" // also the driver "pgx"
	"github.com/capstan-video/capstan/server/store/sqlstore"
)

const (
	alerts       = 1_000_000
	alertsOnPage = 100
	// alertsAtOnce is how many alerts are kept in one transaction while the list is made.
	alertsAtOnce = 20_000
	// beginASecond is how many alerts begin, and how many end, while pages are read.
	beginASecond = 50
)

var firstAlert = time.Unix(1_700_000_000, 0).UTC()

// alertPages reads pages of a hundred all over a list of a million alerts of ten streams, one a
// second: of all alerts and of one stream, with nothing else and while alerts are written, and on by
// cursor. It does so on SQLite, and on a private PostgreSQL where there is one.
func alertPages(s settings) ([]row, error) {
	rows, err := sqlitePages(s)
	if err != nil {
		return nil, err
	}
	more, err := postgresPages()
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintln(os.Stderr, "measuring: alerts: without PostgreSQL, which is not installed")
		return rows, nil
	}
	return append(rows, more...), err
}

// sqlitePages keeps the alerts as the server does, which takes minutes, unless there is a folder
// with them from before.
func sqlitePages(s settings) (_ []row, err error) {
	dir := s.alerts
	if dir == "" {
		if dir, err = os.MkdirTemp(s.work, "alerts-"); err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	ctx := context.Background()
	db, err := sqlstore.Open(ctx, "sqlite:"+filepath.Join(dir, "capstan.db"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	have := 0
	if err := db.View(ctx, func(tx store.Tx) (err error) {
		_, have, err = tx.Alerts(store.AlertFilter{Page: store.Page{Limit: 1}})
		return err
	}); err != nil {
		return nil, err
	}
	if have == 0 {
		if err := keepAlerts(ctx, db); err != nil {
			return nil, err
		}
	}
	return allPages(ctx, db, "SQLite", have == 0)
}

// postgresPages keeps the alerts by statements of its own: one by one they would take an hour.
func postgresPages() (_ []row, err error) {
	server, err := pgtest.Start()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	url, err := server.Make()
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	db, err := sqlstore.Open(ctx, url)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.Update(ctx, func(tx store.Tx) error { _, err := tenStreams(tx); return err }); err != nil {
		return nil, err
	}
	raw, err := sql.Open("pgx", url)
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	for _, statement := range []string{
		fmt.Sprintf(`INSERT INTO alerts (alarm_id, zone_id, stream_id, start_at, end_at)
			SELECT a.id, a.zone_id, a.stream_id, %d + i * 1000000, %d + i * 1000000 + 500000
			FROM generate_series(CAST(0 AS BIGINT), %d) AS i JOIN alarms AS a ON a.id = i %% 10 + 1 ORDER BY i`,
			firstAlert.UnixMicro(), firstAlert.UnixMicro(), alerts-1),
		"INSERT INTO alert_counts SELECT alarm_id, zone_id, stream_id, 'unverified', FALSE, COUNT(*) FROM alerts GROUP BY 1, 2, 3",
	} {
		if _, err := raw.ExecContext(ctx, statement); err != nil {
			return nil, err
		}
	}
	if err := db.Fold(ctx); err != nil {
		return nil, err
	}
	for _, statement := range []string{"VACUUM ANALYZE", "CHECKPOINT"} { // as PostgreSQL does by itself
		if _, err := raw.ExecContext(ctx, statement); err != nil {
			return nil, err
		}
	}
	return allPages(ctx, db, "PostgreSQL", true)
}

// keepAlerts makes the list.
func keepAlerts(ctx context.Context, db *sqlstore.Store) error {
	var list []core.Alert
	if err := db.Update(ctx, func(tx store.Tx) (err error) { list, err = tenStreams(tx); return err }); err != nil {
		return err
	}
	for from := 0; from < alerts; from += alertsAtOnce {
		fmt.Fprintf(os.Stderr, "\rmeasuring: alerts: %d of %d are kept", from, alerts)
		err := db.Update(ctx, func(tx store.Tx) error {
			for i := range alertsAtOnce {
				a := list[(from+i)%len(list)]
				a.Start = firstAlert.Add(time.Duration(from+i) * time.Second)
				a.End = a.Start.Add(500 * time.Millisecond)
				if _, err := tx.SaveAlert(a); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	fmt.Fprintln(os.Stderr)
	return nil
}

// allPages measures on one database; fresh: exactly the million alerts are there.
func allPages(ctx context.Context, db *sqlstore.Store, name string, fresh bool) (rows []row, err error) {
	if err := db.Fold(ctx); err != nil {
		return nil, err
	}
	const goal = 20 * time.Millisecond
	add := func(what string, took []time.Duration) {
		slices.Sort(took)
		median, p90, worst := quantile(took, 0.5), quantile(took, 0.9), took[len(took)-1]
		rows = append(rows, row{what + " (" + name + ")", fmt.Sprintf("≤ %.0f ms", ms(goal)),
			fmt.Sprintf("p50 %.1f ms, p90 %.1f ms, at worst %.1f ms", ms(median), ms(p90), ms(worst)), met(worst <= goal)})
	}
	began, exact := time.Now(), fresh
	for _, with := range []string{"", ", while 50 alerts a second begin and end"} {
		stop := func() error { return nil }
		if with != "" {
			stop, exact = beginAlerts(ctx, db, began), false
		}
		for _, of := range []struct {
			what  string
			f     store.AlertFilter
			count int
		}{{"all", store.AlertFilter{}, alerts}, {"one stream of ten", store.AlertFilter{Stream: 1}, alerts / 10}} {
			took, err := pages(ctx, db, of.f, of.count, exact)
			if err != nil {
				return nil, errors.Join(err, stop())
			}
			add("a page of 100 of 1,000,000 alerts, anywhere: "+of.what+with, took)
		}
		if err := stop(); err != nil {
			return nil, err
		}
	}
	took, err := onward(ctx, db)
	if err != nil {
		return nil, err
	}
	add("the next page of 100 of 1,000,000 alerts, by cursor (/capstan/v1), anywhere", took)
	return rows, nil
}

// beginAlerts has alerts begin and end, a transaction each, until the function that it gives is called.
func beginAlerts(ctx context.Context, db *sqlstore.Store, from time.Time) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { // ends in stop
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				done <- nil
				return
			case <-time.After(time.Second / beginASecond):
			}
			a := core.Alert{Alarm: core.AlarmID(i%10 + 1), Start: from.Add(time.Duration(i) * time.Millisecond)}
			for range 2 {
				var id core.AlertID
				err := db.Update(context.WithoutCancel(ctx), func(tx store.Tx) (err error) { id, err = tx.SaveAlert(a); return err })
				if err != nil {
					done <- err
					return
				}
				a.ID, a.End = id, a.Start.Add(time.Millisecond)
			}
		}
	}()
	return func() error { cancel(); return <-done }
}

// onward reads the page after 201 alerts, evenly from the newest to the oldest.
func onward(ctx context.Context, db *sqlstore.Store) (took []time.Duration, err error) {
	for i := range 201 {
		number := alerts - (alerts-alertsOnPage-1)*i/200 // IDs are given in order of time
		f := store.AlertFilter{Page: store.Page{Limit: alertsOnPage}, After: store.AlertPlace{Start: firstAlert.Add(time.Duration(number-1) * time.Second), ID: core.AlertID(number)}}
		var list []core.Alert
		at := time.Now()
		err := db.View(ctx, func(tx store.Tx) (err error) { list, _, err = tx.Alerts(f); return err })
		took = append(took, time.Since(at))
		if err == nil && (len(list) != alertsOnPage || list[0].ID != core.AlertID(number-1)) {
			err = fmt.Errorf("the page after alert %d has %d alerts", number, len(list))
		}
		if err != nil {
			return nil, err
		}
	}
	return took, nil
}

// tenStreams makes streams with an alarm each, and gives an alert for each.
func tenStreams(tx store.Tx) (list []core.Alert, err error) {
	for i := range 10 {
		n, err := tx.SaveStream(core.StreamConfig{Name: fmt.Sprint("camera ", i), Connection: core.Connection{Kind: core.Webcam, Device: i}})
		if err != nil {
			return nil, err
		}
		z, err := tx.SaveZone(core.Zone{Stream: n, Name: core.ScreenZone})
		if err != nil {
			return nil, err
		}
		a, err := tx.SaveAlarm(core.Alarm{Zone: z, Name: "alarm"})
		if err != nil {
			return nil, err
		}
		list = append(list, core.Alert{Alarm: a.ID, Zone: z, Stream: n})
	}
	return list, nil
}

// pages reads 201 pages, evenly from the newest to the oldest of so many alerts, or of more if not exact.
func pages(ctx context.Context, db *sqlstore.Store, f store.AlertFilter, count int, exact bool) (took []time.Duration, err error) {
	for i := range 201 {
		f.Page = store.Page{Limit: alertsOnPage, Offset: (count - alertsOnPage) * i / 200}
		var list []core.Alert
		var total int
		began := time.Now()
		err := db.View(ctx, func(tx store.Tx) (err error) { list, total, err = tx.Alerts(f); return err })
		took = append(took, time.Since(began))
		if err == nil && (len(list) != alertsOnPage || total < count || exact && total != count) {
			err = fmt.Errorf("a page at %d has %d of %d alerts", f.Page.Offset, len(list), total)
		}
		if err == nil && exact && f.Stream == 0 && list[0].ID != core.AlertID(count-f.Page.Offset) {
			err = fmt.Errorf("the page at %d begins with alert %d, want %d", f.Page.Offset, list[0].ID, count-f.Page.Offset)
		}
		if err != nil {
			return nil, err
		}
	}
	return took, nil
}
