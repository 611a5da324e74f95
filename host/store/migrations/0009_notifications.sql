-- The channels of the configuration, with how they have fared. `incidents` is the lowest severity of incidents that a channel is
-- told of.
CREATE TABLE channels (
    name       TEXT PRIMARY KEY,
    incidents  INTEGER,
    resolved   INTEGER NOT NULL,
    delivered  INTEGER NOT NULL DEFAULT 0,
    given_up   INTEGER NOT NULL DEFAULT 0,
    left_out   INTEGER NOT NULL DEFAULT 0,
    success_at INTEGER,
    error_at   INTEGER,
    error      TEXT,
    hour_began INTEGER,
    hour_sent  INTEGER NOT NULL DEFAULT 0
);

-- What is still to be told, one row for each channel.
CREATE TABLE outbox (
    number     INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again: it is part of the message's id
    channel    TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    event      BLOB    NOT NULL,
    incident   BLOB,
    severity   INTEGER,
    account    TEXT    NOT NULL,
    login      TEXT    NOT NULL,
    source     TEXT    NOT NULL,
    text       TEXT    NOT NULL,
    tries      INTEGER NOT NULL DEFAULT 0,
    first_try  INTEGER,
    not_before INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX outbox_of ON outbox (channel, not_before);

-- The severity with which channels were last told of an incident; 0 when they were told of its end.
ALTER TABLE incidents ADD COLUMN told INTEGER;
UPDATE incidents SET told = CASE state WHEN 'resolved' THEN 0 ELSE severity END;
