-- Pages far down the list of alerts. A list is cut into parts, each with the number of its alerts: a
-- page far down skips within one part, not from an end of the list. There is such a list of all
-- alerts (kind 0), and of each stream (1), zone (2) and alarm (3).

-- A part goes from (start_at, id) to the beginning of the next one of its list; the first one has
-- all before it, too.
CREATE TABLE alert_parts (
    number       INTEGER PRIMARY KEY,
    kind         INTEGER NOT NULL,
    owner        INTEGER NOT NULL, -- ID of the stream, zone or alarm; 0
    start_at     INTEGER NOT NULL,
    id           INTEGER NOT NULL,
    n_unverified INTEGER NOT NULL,
    n_true       INTEGER NOT NULL,
    n_false      INTEGER NOT NULL,
    UNIQUE (kind, owner, start_at, id)
);

-- What has happened to alerts and does not stand in the parts yet. It is only added to, so that who
-- writes alerts waits for nobody else who does; now and then it is added to the parts and deleted.
CREATE TABLE alert_changes (
    change    INTEGER PRIMARY KEY,
    start_at  INTEGER NOT NULL,
    alert_id  INTEGER NOT NULL,
    alarm_id  INTEGER NOT NULL,
    zone_id   INTEGER NOT NULL,
    stream_id INTEGER NOT NULL,
    verified  BOOLEAN,
    n         INTEGER NOT NULL -- 1: one more, -1: one less
);

CREATE VIEW alert_changes_of AS
    SELECT change, 0 AS kind, 0 AS owner, start_at, alert_id, verified, n FROM alert_changes
    UNION ALL SELECT change, 1, stream_id, start_at, alert_id, verified, n FROM alert_changes
    UNION ALL SELECT change, 2, zone_id, start_at, alert_id, verified, n FROM alert_changes
    UNION ALL SELECT change, 3, alarm_id, start_at, alert_id, verified, n FROM alert_changes;

CREATE TRIGGER alerts_added AFTER INSERT ON alerts BEGIN
    INSERT INTO alert_changes (start_at, alert_id, alarm_id, zone_id, stream_id, verified, n)
    VALUES (NEW.start_at, NEW.id, NEW.alarm_id, NEW.zone_id, NEW.stream_id, NEW.verified, 1);
END;

CREATE TRIGGER alerts_removed AFTER DELETE ON alerts BEGIN
    INSERT INTO alert_changes (start_at, alert_id, alarm_id, zone_id, stream_id, verified, n)
    VALUES (OLD.start_at, OLD.id, OLD.alarm_id, OLD.zone_id, OLD.stream_id, OLD.verified, -1);
END;

CREATE TRIGGER alerts_moved AFTER UPDATE OF id, start_at, alarm_id, zone_id, stream_id, verified ON alerts
WHEN (OLD.id, OLD.start_at, OLD.alarm_id, OLD.zone_id, OLD.stream_id, OLD.verified)
    IS NOT (NEW.id, NEW.start_at, NEW.alarm_id, NEW.zone_id, NEW.stream_id, NEW.verified) BEGIN
    INSERT INTO alert_changes (start_at, alert_id, alarm_id, zone_id, stream_id, verified, n)
    VALUES (OLD.start_at, OLD.id, OLD.alarm_id, OLD.zone_id, OLD.stream_id, OLD.verified, -1),
        (NEW.start_at, NEW.id, NEW.alarm_id, NEW.zone_id, NEW.stream_id, NEW.verified, 1);
END;

-- Parts of what there is.
INSERT INTO alert_parts (kind, owner, start_at, id, n_unverified, n_true, n_false)
SELECT kind, owner, MIN(start_at), MIN(CASE WHEN first THEN id END),
    SUM(CASE WHEN verified IS NULL THEN 1 ELSE 0 END), SUM(CASE WHEN verified THEN 1 ELSE 0 END), SUM(CASE WHEN NOT verified THEN 1 ELSE 0 END)
FROM (
    SELECT kind, owner, start_at, id, verified, place / 2048 AS part, place % 2048 = 0 AS first FROM (
        SELECT 0 AS kind, 0 AS owner, start_at, id, verified, ROW_NUMBER() OVER (ORDER BY start_at, id) - 1 AS place FROM alerts
        UNION ALL SELECT 1, stream_id, start_at, id, verified, ROW_NUMBER() OVER (PARTITION BY stream_id ORDER BY start_at, id) - 1 FROM alerts
        UNION ALL SELECT 2, zone_id, start_at, id, verified, ROW_NUMBER() OVER (PARTITION BY zone_id ORDER BY start_at, id) - 1 FROM alerts
        UNION ALL SELECT 3, alarm_id, start_at, id, verified, ROW_NUMBER() OVER (PARTITION BY alarm_id ORDER BY start_at, id) - 1 FROM alerts
    ) AS placed
) AS parted GROUP BY kind, owner, part;
