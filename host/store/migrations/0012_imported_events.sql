-- Where in the log the imported events are: each row a run of them, from `first` to `last`. Runs do not overlap.
CREATE TABLE imported_events (
    last  INTEGER PRIMARY KEY,
    first INTEGER NOT NULL
);

-- Up to which of them the profiles of a mark have them in them.
ALTER TABLE profile_marks ADD COLUMN imported INTEGER NOT NULL DEFAULT 0;
