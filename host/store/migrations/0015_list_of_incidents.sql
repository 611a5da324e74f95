-- The list of all: those that are not resolved first, by severity.
DROP INDEX incidents_by_change;
CREATE INDEX incidents_by_place
    ON incidents ((CASE WHEN state = 'resolved' THEN 0 ELSE severity END) DESC, changed_at DESC, id DESC);
