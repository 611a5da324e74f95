-- Those of an account that are out of a group, or about to be.
DROP INDEX demotions_standing;
CREATE INDEX demotions_standing ON demotions (account) WHERE state IN ('leaving', 'demoted');
