-- Entries of a run in the order in which they are to follow. A number is never used again, so that what was sent
-- is told from what replaced it meanwhile.
CREATE TABLE entries (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    run TEXT NOT NULL,
    kind TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    -- A chunk's number, or where a cut begins.
    seq INTEGER NOT NULL,
    -- A chunk's offset, where a cut ends, or a beginning's fence.
    at INTEGER NOT NULL,
    channel TEXT NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (run, kind, attempt, seq)
) STRICT;
