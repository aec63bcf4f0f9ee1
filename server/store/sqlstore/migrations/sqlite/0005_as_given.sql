-- What comes back as it was given, though it says nothing of what to do.

-- Hours that are kept and do not count.
ALTER TABLE alarms ADD COLUMN hours_off BOOLEAN NOT NULL DEFAULT FALSE;

-- Seconds that the span is rounded from; 0: it is not.
ALTER TABLE conditions ADD COLUMN given REAL NOT NULL DEFAULT 0;

-- JSON; empty: nothing. Until now files were always told with transcode.
ALTER TABLE streams ADD COLUMN said TEXT NOT NULL DEFAULT '';
UPDATE streams SET said = '{"transcode":true}' WHERE kind = 'file';

-- An empty nickname was given, rather than none.
ALTER TABLE identities ADD COLUMN empty_nickname BOOLEAN NOT NULL DEFAULT FALSE;
