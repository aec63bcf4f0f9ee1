-- Times are microseconds since 1970 in UTC, spans nanoseconds. AUTOINCREMENT: an ID is never given twice.

CREATE TABLE premises (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL
);

CREATE TABLE blobs (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    type    TEXT    NOT NULL,
    size    INTEGER NOT NULL,
    sha256  TEXT    NOT NULL,
    created INTEGER NOT NULL
);

CREATE TABLE streams (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    name           TEXT    NOT NULL,
    premises_id    INTEGER REFERENCES premises (id) ON DELETE CASCADE,
    kind           TEXT    NOT NULL,
    url            TEXT    NOT NULL,
    device         INTEGER NOT NULL,
    blob_id        INTEGER REFERENCES blobs (id) ON DELETE SET NULL,
    transcode      BOOLEAN NOT NULL,
    pipeline       TEXT    NOT NULL,
    source         TEXT    NOT NULL UNIQUE, -- digest of what the video comes from
    keyframes_only BOOLEAN NOT NULL,
    metadata       TEXT    NOT NULL,        -- JSON
    running        BOOLEAN NOT NULL
);
CREATE INDEX streams_premises ON streams (premises_id);
CREATE INDEX streams_blob ON streams (blob_id);

CREATE TABLE zones (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    stream_id INTEGER NOT NULL REFERENCES streams (id) ON DELETE CASCADE,
    name      TEXT    NOT NULL,
    coords    TEXT    NOT NULL, -- JSON
    UNIQUE (stream_id, name)
);

CREATE TABLE zone_totals (
    zone_id INTEGER PRIMARY KEY REFERENCES zones (id) ON DELETE CASCADE,
    entered TEXT NOT NULL, -- JSON
    exited  TEXT NOT NULL  -- JSON
);

CREATE TABLE alarms (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    zone_id     INTEGER NOT NULL REFERENCES zones (id) ON DELETE CASCADE,
    stream_id   INTEGER NOT NULL REFERENCES streams (id) ON DELETE CASCADE,
    name        TEXT    NOT NULL,
    hours_start INTEGER,
    hours_end   INTEGER
);
CREATE INDEX alarms_zone ON alarms (zone_id);
CREATE INDEX alarms_stream ON alarms (stream_id);

CREATE TABLE conditions (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    alarm_id        INTEGER NOT NULL REFERENCES alarms (id) ON DELETE CASCADE,
    kind            TEXT    NOT NULL, -- count or rate
    position        INTEGER NOT NULL,
    class           TEXT    NOT NULL,
    attribute_name  TEXT,
    attribute_value TEXT,
    anchor          TEXT    NOT NULL,
    test            TEXT    NOT NULL,
    value           REAL    NOT NULL,
    span            INTEGER NOT NULL,
    threshold       REAL    NOT NULL,
    movement        TEXT    NOT NULL
);
CREATE INDEX conditions_alarm ON conditions (alarm_id);

CREATE TABLE alerts (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    alarm_id  INTEGER NOT NULL REFERENCES alarms (id) ON DELETE CASCADE,
    zone_id   INTEGER NOT NULL REFERENCES zones (id) ON DELETE CASCADE,
    stream_id INTEGER NOT NULL REFERENCES streams (id) ON DELETE CASCADE,
    start_at  INTEGER NOT NULL,
    end_at    INTEGER,
    verified  BOOLEAN,
    frame_id  INTEGER REFERENCES blobs (id) ON DELETE SET NULL
);
CREATE INDEX alerts_start ON alerts (start_at, id);
CREATE INDEX alerts_alarm ON alerts (alarm_id, start_at, id);
CREATE INDEX alerts_zone ON alerts (zone_id, start_at, id);
CREATE INDEX alerts_stream ON alerts (stream_id, start_at, id);
CREATE INDEX alerts_frame ON alerts (frame_id) WHERE frame_id IS NOT NULL;
CREATE INDEX alerts_open ON alerts (start_at, id) WHERE end_at IS NULL;
CREATE INDEX alerts_verified ON alerts (start_at, id) WHERE verified IS NOT NULL;
CREATE INDEX alerts_verified_alarm ON alerts (alarm_id, start_at, id) WHERE verified IS NOT NULL;
CREATE INDEX alerts_verified_zone ON alerts (zone_id, start_at, id) WHERE verified IS NOT NULL;
CREATE INDEX alerts_verified_stream ON alerts (stream_id, start_at, id) WHERE verified IS NOT NULL;

-- How many alerts there are of each kind, so that a list says how long it is without counting it.
CREATE TABLE alert_counts (
    alarm_id  INTEGER NOT NULL REFERENCES alarms (id) ON DELETE CASCADE,
    zone_id   INTEGER NOT NULL REFERENCES zones (id) ON DELETE CASCADE,
    stream_id INTEGER NOT NULL REFERENCES streams (id) ON DELETE CASCADE,
    verified  TEXT    NOT NULL,
    ongoing   BOOLEAN NOT NULL,
    n         INTEGER NOT NULL,
    PRIMARY KEY (alarm_id, zone_id, stream_id, verified, ongoing)
);
CREATE INDEX alert_counts_zone ON alert_counts (zone_id);
CREATE INDEX alert_counts_stream ON alert_counts (stream_id);

CREATE TABLE identities (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    unique_name TEXT NOT NULL UNIQUE,
    nickname    TEXT NOT NULL,
    metadata    TEXT NOT NULL, -- JSON
    search      TEXT NOT NULL  -- what is searched in, in lower case
);

CREATE TABLE vectors (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    identity_id INTEGER NOT NULL REFERENCES identities (id) ON DELETE CASCADE,
    class       TEXT    NOT NULL,
    blob_id     INTEGER REFERENCES blobs (id) ON DELETE SET NULL,
    encoder     TEXT    NOT NULL,
    vector      BLOB    NOT NULL, -- float32, little endian
    digest      TEXT    NOT NULL,
    UNIQUE (identity_id, class, digest)
);
CREATE INDEX vectors_class ON vectors (class);
CREATE INDEX vectors_blob ON vectors (blob_id);

CREATE TABLE settings (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    capsule   TEXT    NOT NULL,
    stream_id INTEGER REFERENCES streams (id) ON DELETE CASCADE,
    active    BOOLEAN,
    options   TEXT    NOT NULL -- JSON
);
CREATE UNIQUE INDEX settings_of ON settings (capsule, COALESCE(stream_id, 0));
CREATE INDEX settings_stream ON settings (stream_id);

CREATE TABLE users (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    hash TEXT NOT NULL
);

CREATE TABLE sessions (
    token   TEXT    PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    expires INTEGER NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expires ON sessions (expires);

-- Without a reference to the stream: what happened on it is told even when it is gone.
CREATE TABLE events (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    stream_id INTEGER NOT NULL,
    kind      TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    payload   BLOB    NOT NULL,
    attempts  INTEGER NOT NULL,
    next_at   INTEGER NOT NULL,
    dead      BOOLEAN NOT NULL,
    error     TEXT    NOT NULL
);
CREATE INDEX events_waiting ON events (id) WHERE NOT dead;

CREATE TABLE audit (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    at     INTEGER NOT NULL,
    "user" TEXT    NOT NULL,
    action TEXT    NOT NULL,
    object TEXT    NOT NULL
);

CREATE TABLE server_values (
    name TEXT PRIMARY KEY,
    data BLOB NOT NULL
);
