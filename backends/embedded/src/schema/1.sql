-- One row: the sequence behind every version, and how many changes the feed has had.
CREATE TABLE meta (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL,
    position INTEGER NOT NULL
) STRICT;
INSERT INTO meta VALUES (1, 0, 0);

CREATE TABLE jobs (
    name    TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    created INTEGER NOT NULL,
    body    BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- orphaned_at: Unix seconds of the job's deletion.
CREATE TABLE marks (
    job         TEXT PRIMARY KEY,
    version     INTEGER NOT NULL,
    body        BLOB NOT NULL,
    orphaned_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX marks_orphaned ON marks (orphaned_at) WHERE orphaned_at IS NOT NULL;

CREATE TABLE open_runs (
    job     TEXT NOT NULL,
    key     TEXT NOT NULL,
    version INTEGER NOT NULL,
    body    BLOB NOT NULL,
    PRIMARY KEY (job, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE wait_runs (
    job     TEXT NOT NULL,
    key     TEXT NOT NULL,
    version INTEGER NOT NULL,
    body    BLOB NOT NULL,
    PRIMARY KEY (job, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE done_runs (
    job     TEXT NOT NULL,
    key     TEXT NOT NULL,
    version INTEGER NOT NULL,
    body    BLOB NOT NULL,
    PRIMARY KEY (job, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE kills (
    run       TEXT PRIMARY KEY,
    by_whom   TEXT NOT NULL,
    why       TEXT NOT NULL,
    retain_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- made_at: Unix seconds.
CREATE TABLE requests (
    job     TEXT NOT NULL,
    id      TEXT NOT NULL,
    made_at INTEGER NOT NULL,
    PRIMARY KEY (job, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX requests_made ON requests (made_at);

-- The run log. place orders runs by when they were first recorded; at is what time filters compare.
CREATE TABLE runs (
    place    INTEGER PRIMARY KEY,
    id       TEXT NOT NULL UNIQUE,
    job      TEXT NOT NULL,
    state    TEXT NOT NULL,
    fence    INTEGER NOT NULL,
    at       INTEGER,
    ended_at INTEGER,
    body     BLOB NOT NULL
) STRICT;
CREATE INDEX runs_by_job ON runs (job, place);
CREATE INDEX runs_by_state ON runs (state, place);
CREATE INDEX runs_ended ON runs (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE chunks (
    run     TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    channel TEXT NOT NULL,
    offset  INTEGER NOT NULL,
    bytes   BLOB NOT NULL,
    PRIMARY KEY (run, attempt, seq)
) STRICT;

-- The outbox. An alert that was folded into another stays as its id, in state 'folded'.
CREATE TABLE alerts (
    place        INTEGER PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE,
    run          TEXT NOT NULL,
    job          TEXT NOT NULL,
    plugin       TEXT NOT NULL,
    number       INTEGER NOT NULL,
    target       TEXT NOT NULL,
    dedupe_key   TEXT,
    content_type TEXT NOT NULL,
    headers      TEXT NOT NULL,
    body         BLOB NOT NULL,
    state        TEXT NOT NULL,
    tries        INTEGER NOT NULL,
    last_error   TEXT,
    created_at   INTEGER NOT NULL,
    folded       INTEGER NOT NULL,
    claim        INTEGER
) STRICT;
CREATE INDEX alerts_by_state ON alerts (state, place);
CREATE INDEX alerts_to_fold ON alerts (target, dedupe_key) WHERE state = 'pending';
CREATE INDEX alerts_by_run ON alerts (run);
