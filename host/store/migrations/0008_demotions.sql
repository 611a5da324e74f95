-- Accounts that were, or are to be, taken out of a group. What was the account's place in it stands here before the directory is
-- told.
CREATE TABLE demotions (
    number        INTEGER PRIMARY KEY AUTOINCREMENT,
    event         BLOB    NOT NULL,
    account       TEXT    NOT NULL,
    login         TEXT    NOT NULL,
    policy        TEXT    NOT NULL,
    wanted_group  TEXT    NOT NULL,
    restore_after INTEGER NOT NULL, -- seconds
    from_times    INTEGER NOT NULL,
    wanted_at     INTEGER NOT NULL,
    state         TEXT    NOT NULL CHECK (state IN ('wanted', 'leaving', 'demoted', 'restored', 'failed')),
    changed_at    INTEGER NOT NULL,
    group_dn      TEXT,
    attribute     TEXT,
    value         TEXT,
    restore_at    INTEGER,
    restore_by    TEXT,
    note          TEXT    NOT NULL DEFAULT ''
);
CREATE INDEX demotions_to_do ON demotions (number) WHERE state IN ('wanted', 'leaving');
CREATE INDEX demotions_to_restore ON demotions (restore_at) WHERE state = 'demoted';
CREATE INDEX demotions_standing ON demotions (account) WHERE state = 'demoted';
