-- What is learned of accounts (kind 1), endpoints (2) and applications (3). `value` is behaviour's to read; `risk` is what it was
-- when it was written, to find the riskiest by.
CREATE TABLE profiles (
    kind  INTEGER NOT NULL,
    key   TEXT    NOT NULL,
    mark  INTEGER NOT NULL, -- the mark that it was written under
    risk  INTEGER NOT NULL,
    value BLOB    NOT NULL,
    PRIMARY KEY (kind, key)
);
CREATE INDEX profiles_by_risk ON profiles (kind, risk DESC) WHERE risk > 0;

-- Up to which event the profiles of a mark are complete, and which later ones are in them (eight octets each). Those before the
-- last complete one say nothing that it does not say.
CREATE TABLE profile_marks (
    number   INTEGER PRIMARY KEY,
    through  INTEGER NOT NULL,
    ahead    BLOB    NOT NULL,
    complete INTEGER NOT NULL
);

-- What people said about what stands behind an account.
CREATE TABLE account_kinds (
    account TEXT    PRIMARY KEY NOT NULL,
    login   TEXT    NOT NULL,
    kind    TEXT    NOT NULL CHECK (kind IN ('human', 'service')),
    person  TEXT    NOT NULL,
    at      INTEGER NOT NULL
) WITHOUT ROWID;
