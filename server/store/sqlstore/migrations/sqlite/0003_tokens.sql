-- Keys by which programs act for a user. Only their hashes are kept.
CREATE TABLE tokens (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name    TEXT    NOT NULL,
    role    TEXT    NOT NULL,
    hash    TEXT    NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    expires INTEGER, -- never
    used    INTEGER  -- not yet
);
CREATE INDEX tokens_user ON tokens (user_id);
