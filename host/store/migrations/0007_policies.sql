-- Lists of policies that are or were in force. Rows are only ever added; numbers have no gaps.
CREATE TABLE policy_revisions (
    number  INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    actor   TEXT    NOT NULL,
    comment TEXT    NOT NULL,
    file    BLOB,              -- digest of the configuration file's list, where it was taken over from there
    json    TEXT    NOT NULL
);
CREATE INDEX policy_revisions_of_file ON policy_revisions (number) WHERE file IS NOT NULL;

-- The draft of all administrators. When it is gone its version stays, so that no version is there twice.
CREATE TABLE policy_draft (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL,
    json    TEXT
);
INSERT INTO policy_draft (one, version, json) VALUES (1, 0, NULL);
