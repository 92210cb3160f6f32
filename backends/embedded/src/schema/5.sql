-- What plugins keep between their calls. A value without a time to live stays until it is changed.
CREATE TABLE plugin_values (
    plugin     TEXT NOT NULL,
    key        TEXT NOT NULL,
    value      BLOB NOT NULL,
    -- Unix milliseconds of this host's clock.
    expires_at INTEGER,
    PRIMARY KEY (plugin, key)
) STRICT;
