-- The event log. Rows are only ever added. `sequence` has no gaps, so that a missing event is seen.
-- The columns after `id` repeat what the JSON says, so that it can be searched; `verify` compares them.
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY,
    id       BLOB    NOT NULL UNIQUE,
    at       INTEGER NOT NULL, -- milliseconds since 1970, UTC; as everywhere below
    account  TEXT,
    endpoint TEXT,
    decision TEXT,
    json     TEXT    NOT NULL,
    digest   BLOB    NOT NULL, -- names the event that was changed; the batch's hash is what counts
    batch    INTEGER NOT NULL
);

-- One row per transaction that stored events; each holds the hash of the one before.
CREATE TABLE batches (
    number         INTEGER PRIMARY KEY,
    previous       BLOB    NOT NULL,
    hash           BLOB    NOT NULL,
    count          INTEGER NOT NULL,
    first_sequence INTEGER NOT NULL,
    last_sequence  INTEGER NOT NULL
);

CREATE TABLE incidents (
    id                 BLOB    PRIMARY KEY NOT NULL,
    account            TEXT    NOT NULL,
    login              TEXT    NOT NULL,
    policy             TEXT    NOT NULL,
    severity           INTEGER NOT NULL, -- 1 low to 4 critical
    title              TEXT    NOT NULL,
    state              TEXT    NOT NULL CHECK (state IN ('open', 'in-progress', 'resolved')),
    opened_at          INTEGER NOT NULL,
    changed_at         INTEGER NOT NULL,
    count              INTEGER NOT NULL,
    raised_by          BLOB    NOT NULL,
    resolved_by        BLOB,
    resolved_by_person TEXT
);
CREATE UNIQUE INDEX incidents_one_unresolved ON incidents (account, policy) WHERE state <> 'resolved';
CREATE INDEX incidents_by_change ON incidents ((state = 'resolved'), changed_at DESC, id DESC);
CREATE INDEX incidents_by_account ON incidents (account, changed_at);

CREATE TABLE associations (
    account    TEXT    NOT NULL,
    address    TEXT    NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL,
    count      INTEGER NOT NULL,
    PRIMARY KEY (account, address)
) WITHOUT ROWID;
CREATE INDEX associations_by_address ON associations (address);

-- What was learned since the associations were last brought up to date: a row here is added to the end of a table, one there
-- is found and changed on a page of its own. Readers add up both; the writer adds these to those now and then.
CREATE TABLE sightings (
    number  INTEGER PRIMARY KEY,
    account TEXT    NOT NULL,
    address TEXT    NOT NULL,
    at      INTEGER NOT NULL
);

CREATE TABLE challenges (
    id          BLOB    PRIMARY KEY NOT NULL,
    account     TEXT    NOT NULL,
    login       TEXT    NOT NULL,
    address     TEXT,
    application TEXT    NOT NULL,
    policy      TEXT    NOT NULL,
    connector   TEXT    NOT NULL,
    opened_at   INTEGER NOT NULL,
    ended_at    INTEGER,
    state       TEXT    NOT NULL
);
CREATE INDEX challenges_approved ON challenges (account, application, policy, connector, ended_at)
    WHERE state = 'approved';
CREATE INDEX challenges_open ON challenges (state) WHERE state = 'open';

CREATE TABLE settings (
    key  TEXT PRIMARY KEY NOT NULL,
    json TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE administrators (
    login         TEXT PRIMARY KEY NOT NULL,
    password_hash TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE sessions (
    token_hash BLOB    PRIMARY KEY NOT NULL,
    login      TEXT    NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX sessions_by_end ON sessions (expires_at);

CREATE TABLE plugin_state (
    plugin TEXT    NOT NULL,
    key    TEXT    NOT NULL,
    value  BLOB    NOT NULL,
    size   INTEGER NOT NULL, -- bytes of key and value, for the quota
    PRIMARY KEY (plugin, key)
);
