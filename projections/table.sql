-- All jobs, as the log left them at `checkpoint`. A cache: made again from the log when it is missing, and when FOLD_VERSION
-- changes, as it must with anything in this file.
-- `doc` is the whole job; the columns beside it are what lists filter and sort by. Newest first is `created_pos`
-- descending: positions grow as jobs are created, so pages stay stable while others arrive.

PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL; -- a power cut may lose the last flushes, which the log makes good; OFF could spoil it unseen
PRAGMA wal_autocheckpoint = 8192; -- pages, 32 MiB: each time costs a sync, which competes with the log's own

CREATE TABLE IF NOT EXISTS jobs (
    created_pos INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    rev INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    run_at TEXT NOT NULL,
    next_attempt_at TEXT,
    expires_at TEXT,
    held_at TEXT,
    doc BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS jobs_by_kind_and_status ON jobs (kind, status, created_pos);
CREATE INDEX IF NOT EXISTS jobs_held ON jobs (created_pos) WHERE held_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS jobs_by_due ON jobs (next_attempt_at) WHERE next_attempt_at IS NOT NULL;

-- All that a board keeps of a pending job, in the order in which it hands them out.
CREATE INDEX IF NOT EXISTS jobs_pending ON jobs (
    kind, priority DESC, run_at, created_pos, id, rev, next_attempt_at, expires_at, status -- this too, or it covers nothing
) WHERE status = 'pending';

-- How many jobs there are of each kind in each state: what counting them would give.
CREATE TABLE IF NOT EXISTS counts (
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (kind, status)
) WITHOUT ROWID;

-- The words of each job; its rowid is the job's created_pos, so that newest first needs no sorting. No `content`: the texts
-- are in the documents already. No `columnsize`: that serves a ranking, and there is none.
CREATE VIRTUAL TABLE IF NOT EXISTS search USING fts5 (
    text, content = '', columnsize = 0, tokenize = 'unicode61 remove_diacritics 2'
);

-- By what a search may be narrowed: the same as in `jobs`, but a hundred jobs to a page and not four, since a word that all
-- jobs have is looked up for each of them. Kept by triggers: no other writer needs to think of it.
CREATE TABLE IF NOT EXISTS facets (
    created_pos INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    held INTEGER NOT NULL
);
CREATE TRIGGER IF NOT EXISTS facets_of_new AFTER INSERT ON jobs BEGIN
    INSERT INTO facets VALUES (new.created_pos, new.kind, new.status, new.held_at IS NOT NULL);
END;
CREATE TRIGGER IF NOT EXISTS facets_of_moved AFTER UPDATE OF status, held_at ON jobs
WHEN (old.status, old.held_at) IS NOT (new.status, new.held_at) BEGIN
    UPDATE facets SET status = new.status, held = new.held_at IS NOT NULL WHERE created_pos = new.created_pos;
END;

-- What holds for kinds: pauses and limits. `doc` is the whole of it.
CREATE TABLE IF NOT EXISTS kinds (
    name TEXT PRIMARY KEY,
    doc BLOB NOT NULL
);

CREATE TABLE IF NOT EXISTS state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    log_id TEXT NOT NULL,
    fold INTEGER NOT NULL, -- which version of the fold made the rows
    checkpoint INTEGER NOT NULL
);
