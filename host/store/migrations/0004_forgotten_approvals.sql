-- Up to when the approvals of an account count no more. The row without an event is what is settled; others tell of something
-- that was about to happen, and count as long as nobody says that it has not. The account '' is everybody.
CREATE TABLE forgotten_approvals (
    account TEXT    NOT NULL,
    event   BLOB    NOT NULL,
    before  INTEGER NOT NULL,
    PRIMARY KEY (account, event)
) WITHOUT ROWID;
CREATE INDEX forgotten_approvals_by_event ON forgotten_approvals (event) WHERE event <> x'';

-- A refusal since makes an approval worth nothing.
CREATE INDEX challenges_denied ON challenges (account, ended_at) WHERE state = 'denied';
