-- The riskiest are read page by page, those of the same risk in the order of their keys.
DROP INDEX profiles_by_risk;
CREATE INDEX profiles_by_risk ON profiles (kind, risk DESC, key) WHERE risk > 0;
