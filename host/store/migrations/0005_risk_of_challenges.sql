-- How risky the account was, 0 to 100, when it was asked: an approval counts for nobody who has become much riskier since.
ALTER TABLE challenges ADD COLUMN risk INTEGER NOT NULL DEFAULT 0;
