-- All jobs, as the log left them at `checkpoint`. A cache: made again from the log when it is missing.
-- `doc` is the whole job; the columns beside it are what lists filter and sort by. Newest first is `created_pos`
-- descending: positions grow as jobs are created, so pages stay stable while others arrive.

PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL; -- a power cut may lose the last flushes, which the log makes good

CREATE TABLE IF NOT EXISTS jobs (
    created_pos INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at TEXT NOT NULL,
    doc BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS jobs_by_status ON jobs (status, created_pos);
CREATE INDEX IF NOT EXISTS jobs_by_kind ON jobs (kind, status, created_pos);
CREATE INDEX IF NOT EXISTS jobs_by_time ON jobs (created_at, created_pos);

CREATE TABLE IF NOT EXISTS state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    log_id TEXT NOT NULL,
    fold INTEGER NOT NULL, -- which version of the fold made the rows
    checkpoint INTEGER NOT NULL
);
