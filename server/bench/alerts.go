package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
	"github.com/capstan-video/capstan/server/store/sqlstore"
)

// alertPages keeps a million alerts of ten streams, as the server does, and reads pages of a hundred
// all over the list: of all alerts and of one stream. It is SQLite; PostgreSQL is measured by go test
// -bench Alerts ./server/store/sqlstore.
func alertPages(s settings) (_ []row, err error) {
	const alerts, batch, size = 1_000_000, 20_000, 100
	dir, err := os.MkdirTemp(s.work, "alerts-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	db, err := sqlstore.Open(ctx, "sqlite:"+filepath.Join(dir, "capstan.db"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var list []core.Alert
	if err := db.Update(ctx, func(tx store.Tx) (err error) { list, err = tenStreams(tx); return err }); err != nil {
		return nil, err
	}
	began := time.Unix(1_700_000_000, 0).UTC()
	for from := 0; from < alerts; from += batch {
		fmt.Fprintf(os.Stderr, "\rmeasuring: alerts: %d of %d are kept", from, alerts)
		err := db.Update(ctx, func(tx store.Tx) error {
			for i := range batch {
				a := list[(from+i)%len(list)]
				a.Start = began.Add(time.Duration(from+i) * time.Second)
				a.End = a.Start.Add(500 * time.Millisecond)
				if _, err := tx.SaveAlert(a); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	fmt.Fprintln(os.Stderr)
	var rows []row
	for _, of := range []struct {
		what  string
		f     store.AlertFilter
		count int
	}{{"all", store.AlertFilter{}, alerts}, {"one stream of ten", store.AlertFilter{Stream: list[0].Stream}, alerts / len(list)}} {
		took, err := pages(ctx, db, of.f, of.count, size)
		if err != nil {
			return nil, err
		}
		slices.Sort(took)
		median, worst := quantile(took, 0.5), took[len(took)-1]
		rows = append(rows, row{"a page of 100 of 1,000,000 alerts, anywhere: " + of.what, "≤ 20 ms",
			fmt.Sprintf("p50 %.1f ms, p90 %.1f ms, at worst %.1f ms", ms(median), ms(quantile(took, 0.9)), ms(worst)), met(worst <= 20*time.Millisecond)})
	}
	took, err := onward(ctx, db, began, alerts, size)
	if err != nil {
		return nil, err
	}
	slices.Sort(took)
	return append(rows, row{"the next page of 100 of 1,000,000 alerts, by cursor (/capstan/v1), anywhere", "≤ 20 ms",
		fmt.Sprintf("p50 %.1f ms, at worst %.1f ms", ms(quantile(took, 0.5)), ms(took[len(took)-1])), met(took[len(took)-1] <= 20*time.Millisecond)}), nil
}

// onward reads the page after 201 alerts, evenly from the newest to the oldest.
func onward(ctx context.Context, db *sqlstore.Store, began time.Time, count, size int) (took []time.Duration, err error) {
	for i := range 201 {
		number := count - (count-size-1)*i/200 // IDs are given in order of time
		f := store.AlertFilter{Page: store.Page{Limit: size}, After: store.AlertPlace{Start: began.Add(time.Duration(number-1) * time.Second), ID: core.AlertID(number)}}
		var list []core.Alert
		at := time.Now()
		err := db.View(ctx, func(tx store.Tx) (err error) { list, _, err = tx.Alerts(f); return err })
		took = append(took, time.Since(at))
		if err == nil && (len(list) != size || list[0].ID != core.AlertID(number-1)) {
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

// pages reads 201 pages, evenly from the newest to the oldest.
func pages(ctx context.Context, db *sqlstore.Store, f store.AlertFilter, count, size int) (took []time.Duration, err error) {
	for i := range 201 {
		f.Page = store.Page{Limit: size, Offset: (count - size) * i / 200}
		var list []core.Alert
		var total int
		began := time.Now()
		err := db.View(ctx, func(tx store.Tx) (err error) { list, total, err = tx.Alerts(f); return err })
		took = append(took, time.Since(began))
		if err == nil && (len(list) != size || total != count) {
			err = fmt.Errorf("a page at %d has %d of %d alerts", f.Page.Offset, len(list), total)
		}
		if err != nil {
			return nil, err
		}
	}
	return took, nil
}
