-- Each event goes to several destinations, each at its own speed: attempts are counted by delivery.
-- Nothing has written events before.
DROP TABLE events;

CREATE TABLE destinations (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT NOT NULL UNIQUE,
    kind       TEXT    NOT NULL,
    enabled    BOOLEAN NOT NULL,
    configured BOOLEAN NOT NULL,
    problem    TEXT    NOT NULL,
    secret     TEXT    NOT NULL,
    settings   TEXT    NOT NULL -- JSON
);

-- Without a reference to the stream: what happened on it is told even when it is gone.
CREATE TABLE events (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    event_key TEXT    NOT NULL,
    stream_id INTEGER NOT NULL,
    kind      TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    payload   BLOB NOT NULL
);

CREATE TABLE deliveries (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id       INTEGER NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    destination_id INTEGER NOT NULL REFERENCES destinations (id) ON DELETE CASCADE,
    stream_id      INTEGER NOT NULL,
    attempts       INTEGER NOT NULL,
    next_at        INTEGER NOT NULL,
    dead           BOOLEAN NOT NULL,
    ended_at       INTEGER NOT NULL,
    error          TEXT    NOT NULL
);
CREATE INDEX deliveries_event ON deliveries (event_id);
CREATE INDEX deliveries_waiting ON deliveries (destination_id, stream_id, event_id) WHERE NOT dead;
CREATE INDEX deliveries_dead ON deliveries (destination_id, event_id) WHERE dead;
