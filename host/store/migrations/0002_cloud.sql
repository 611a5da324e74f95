-- Ids that a source's events have there, each once. In a table of its own, because the log is only ever added to and its other
-- events have none.
CREATE TABLE foreign_events (
    source TEXT NOT NULL,
    id     TEXT NOT NULL,
    PRIMARY KEY (source, id)
) WITHOUT ROWID;

-- How far each source has been read; changed together with the events that were read.
CREATE TABLE sources (
    name        TEXT PRIMARY KEY NOT NULL,
    cursor      TEXT,
    complete_to INTEGER
) WITHOUT ROWID;

-- What has to follow from an event and is not done. A number is never used again.
CREATE TABLE follow_ups (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    source TEXT NOT NULL,
    event  BLOB NOT NULL, -- id of the event
    json   TEXT NOT NULL
);

-- `asked_at` is empty while only events have named the account.
CREATE TABLE cloud_accounts (
    source   TEXT NOT NULL,
    id       TEXT NOT NULL,
    account  TEXT NOT NULL, -- JSON, as all below that is not a number
    asked_at INTEGER,
    matches  TEXT NOT NULL,
    decided  TEXT,
    PRIMARY KEY (source, id)
) WITHOUT ROWID;

-- Directory accounts for which a source has none.
CREATE TABLE without_cloud_account (
    source   TEXT NOT NULL,
    account  TEXT NOT NULL,
    asked_at INTEGER NOT NULL,
    PRIMARY KEY (source, account)
) WITHOUT ROWID;
