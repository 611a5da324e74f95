-- What raised an incident stands in `policy`: the name of a policy, or `detection:` and the name of a detection.
ALTER TABLE incidents ADD COLUMN verdict TEXT CHECK (verdict IN ('true-positive', 'false-positive'));
ALTER TABLE incidents ADD COLUMN assignee TEXT; -- login of an administrator

-- What happened to an incident. Rows are only ever added.
CREATE TABLE incident_history (
    number   INTEGER PRIMARY KEY,
    incident BLOB    NOT NULL,
    at       INTEGER NOT NULL,
    step     TEXT    NOT NULL,
    person   TEXT,
    text     TEXT    NOT NULL,
    event    BLOB    NOT NULL
);
CREATE INDEX incident_history_of ON incident_history (incident, number);

-- Incidents that were there before there was a history.
INSERT INTO incident_history (incident, at, step, text, event)
    SELECT id, opened_at, 'opened', title, raised_by FROM incidents;
