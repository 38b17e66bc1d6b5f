-- The way from a stream to its lines. A cache: made again from the log when it is missing, never the truth.
-- One row a stream, not one an event: a stream's places are 12 bytes each in `places`
-- (position: 8 bytes, offset in its segment: 4 bytes, little-endian), in order of revision.

PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL; -- a power cut may lose the last flushes, which the log makes good

CREATE TABLE IF NOT EXISTS streams (
    stream TEXT PRIMARY KEY,
    places BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    log_id TEXT NOT NULL,
    checkpoint INTEGER NOT NULL -- every event up to this position is in `streams`
);
