-- The plugin store. place orders releases by when they were pushed; a module stays as long as a release has it.
CREATE TABLE plugins (
    name          TEXT PRIMARY KEY,
    serving       TEXT,
    served_before TEXT
) STRICT;

CREATE TABLE releases (
    place     INTEGER PRIMARY KEY,
    plugin    TEXT NOT NULL,
    version   TEXT NOT NULL,
    digest    TEXT NOT NULL,
    bytes     INTEGER NOT NULL,
    pushed_by TEXT NOT NULL,
    pushed_at INTEGER NOT NULL,
    UNIQUE (plugin, version)
) STRICT;
CREATE INDEX releases_by_digest ON releases (digest);

CREATE TABLE modules (
    digest TEXT PRIMARY KEY,
    module BLOB NOT NULL
) STRICT;
