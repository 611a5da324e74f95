-- Adding an event changes as few pages as can be: those at the end of `events` and `batches`. What is found by something else than
-- the place in the log (identifiers, associations) is brought up to date now and then, for all events behind `settled`
-- at once; readers look there and at the events behind it.
CREATE TABLE settled (
    through INTEGER NOT NULL -- sequence of an event; the one row
);

INSERT INTO associations (account, address, first_seen, last_seen, count)
    SELECT account, address, MIN(at), MAX(at), COUNT(*) FROM sightings WHERE TRUE GROUP BY account, address
    ON CONFLICT (account, address) DO UPDATE SET
        first_seen = MIN(first_seen, excluded.first_seen),
        last_seen = MAX(last_seen, excluded.last_seen),
        count = count + excluded.count;
DROP TABLE sightings;

CREATE TABLE event_ids (
    id       BLOB    PRIMARY KEY NOT NULL,
    sequence INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO event_ids (id, sequence) SELECT id, sequence FROM events ORDER BY id;

CREATE TABLE events_without_index (
    sequence   INTEGER PRIMARY KEY,
    id         BLOB    NOT NULL,
    at         INTEGER NOT NULL,
    account    TEXT,
    endpoint   TEXT,
    decision   TEXT,
    learned_at INTEGER, -- when the account used the endpoint, where that is to be learned from it
    json       TEXT    NOT NULL,
    digest     BLOB    NOT NULL,
    batch      INTEGER NOT NULL
);
INSERT INTO events_without_index (sequence, id, at, account, endpoint, decision, json, digest, batch)
    SELECT sequence, id, at, account, endpoint, decision, json, digest, batch FROM events ORDER BY sequence;
DROP TABLE events;
ALTER TABLE events_without_index RENAME TO events;

INSERT INTO settled (through) SELECT COALESCE(MAX(sequence), 0) FROM events;

-- What was learned since the associations were last brought up to date. Readers add up both.
CREATE VIEW sightings AS
    SELECT account, endpoint AS address, learned_at AS at FROM events
    WHERE sequence > (SELECT through FROM settled)
      AND learned_at IS NOT NULL AND account IS NOT NULL AND endpoint IS NOT NULL;
