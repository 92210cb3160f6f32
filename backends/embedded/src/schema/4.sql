-- What plugins were asked and what they said. place is the order in which it was kept.
CREATE TABLE recordings (
    place  INTEGER PRIMARY KEY,
    id     TEXT NOT NULL UNIQUE,
    plugin TEXT NOT NULL,
    run    TEXT NOT NULL,
    body   BLOB NOT NULL
) STRICT;
CREATE INDEX recordings_by_plugin ON recordings (plugin, place);
CREATE INDEX recordings_by_run ON recordings (run, place);

-- The release that is only asked.
ALTER TABLE plugins ADD COLUMN shadow TEXT;
