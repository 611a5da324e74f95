-- When an incident becomes more severe by itself: what can still do it (JSON), from when on its time is counted, and when time alone
-- does it next.
ALTER TABLE incidents ADD COLUMN escalations TEXT NOT NULL DEFAULT '[]';
ALTER TABLE incidents ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
ALTER TABLE incidents ADD COLUMN escalates_at INTEGER;
-- From where, by the latest event that told.
ALTER TABLE incidents ADD COLUMN address TEXT;
UPDATE incidents SET since = opened_at;
CREATE INDEX incidents_to_escalate ON incidents (escalates_at) WHERE escalates_at IS NOT NULL AND state <> 'resolved';

-- What people do not want to be told of a detection. What was taken back stays, so that it can be read who did.
CREATE TABLE exclusions (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    incident   BLOB    NOT NULL,
    detections TEXT    NOT NULL, -- name of a detection, or of a group of them
    account    TEXT,
    login      TEXT,
    network    TEXT,
    until      INTEGER,
    reason     TEXT    NOT NULL,
    person     TEXT    NOT NULL,
    made_at    INTEGER NOT NULL,
    event      BLOB    NOT NULL,
    undone_at  INTEGER,
    undone_by  TEXT,
    CHECK (account IS NOT NULL OR network IS NOT NULL)
);
CREATE INDEX exclusions_standing ON exclusions (number) WHERE undone_at IS NULL;
