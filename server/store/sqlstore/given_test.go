package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

// oldRows are what a program before migration 0005 has kept.
var oldRows = []string{
	"INSERT INTO blobs (type, size, sha256, created) VALUES ('video/mp4', 1, 'aa', 0)",
	`INSERT INTO streams (name, kind, url, device, blob_id, transcode, pipeline, source, keyframes_only, metadata, running) VALUES
	('file', 'file', '', 0, 1, FALSE, '', 'a', FALSE, '{"a":1.0}', FALSE), ('camera', 'ip_camera', 'rtsp://a', 0, NULL, FALSE, '', 'b', TRUE, '{}', FALSE)`,
	"INSERT INTO zones (stream_id, name, coords) VALUES (1, 'Screen', 'null')",
	"INSERT INTO alarms (zone_id, stream_id, name, hours_start, hours_end) VALUES (1, 1, 'always', NULL, NULL), (1, 1, 'hours', 1000, 2000)",
	`INSERT INTO conditions (alarm_id, kind, position, class, anchor, test, value, span, threshold, movement) VALUES (1, 'count', 0, 'c', 'top', '>', 1, 333333333, 0.5, '')`,
	"INSERT INTO identities (unique_name, nickname, metadata, search) VALUES ('b', '', '{}', 'b'), ('a', 'A', '{\"x\":1}', 'a')",
}

// keepOld makes a database as it was after so many migrations, with rows.
func keepOld(t *testing.T, url string, version int, rows ...string) {
	t.Helper()
	driver, folder, source := "pgx", "postgres", url
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		driver, folder, source = "sqlite", "sqlite", path
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	files, err := migrations.ReadDir("migrations/" + folder)
	if err != nil || len(files) < version {
		t.Fatal(len(files), err)
	}
	var statements []string
	for _, file := range files[:version] { // in order of their numbers
		text, err := migrations.ReadFile("migrations/" + folder + "/" + file.Name())
		if err != nil {
			t.Fatal(err)
		}
		statements = append(statements, string(text))
	}
	statements = append(statements, "CREATE TABLE schema_version (version BIGINT NOT NULL)", fmt.Sprintf("INSERT INTO schema_version VALUES (%d)", version))
	for _, statement := range append(statements, rows...) {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%.80s: %v", statement, err)
		}
	}
}

// TestGivenOfOld: what an earlier program has kept reads as it did, also where texts are sealed now.
func TestGivenOfOld(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		keepOld(t, url, 4, oldRows...)
		s := open(t, url, sealed(t, "key"))
		defer s.Close()
		err := s.View(context.Background(), func(tx store.Tx) error {
			file, err := tx.Stream(1)
			if want := (core.Said{Transcode: true}); err != nil || !reflect.DeepEqual(file.Said, want) || file.Connection.Transcode {
				t.Errorf("file: %+v %v, want %+v", file, err, want)
			}
			camera, err := tx.Stream(2)
			if err != nil || !reflect.DeepEqual(camera.Said, core.Said{}) || !camera.KeyframesOnly || camera.Connection.URL != "rtsp://a" {
				t.Errorf("camera: %+v %v", camera, err)
			}
			alarms, err := tx.Alarms(0, 0)
			if err != nil || len(alarms) != 2 || alarms[0].Hours != nil || !reflect.DeepEqual(alarms[1].Hours, &core.ActiveHours{Start: 1000, End: 2000}) {
				t.Errorf("alarms: %+v %v", alarms, err)
			} else if c := alarms[0].Counts[0]; c.Given != 0 || c.Seconds() != 0.333333333 {
				t.Errorf("condition: %+v", c)
			}
			people, _, err := tx.Identities(store.IdentityFilter{SortBy: "metadata"})
			if err != nil || len(people) != 2 || people[0].UniqueName != "b" || people[0].EmptyNickname || people[1].Nickname != "A" {
				t.Errorf("identities: %+v %v", people, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
