-- Version 1 of the store; the to_*.sql scripts take it further (migrate.py). JSON that is only ever copied out again is BLOB; JSON that queries look into is TEXT.
-- Times are text of one fixed width in UTC (see wire.time_text), so that text order is the order of time.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE sessions (
    id                   TEXT PRIMARY KEY,
    name                 TEXT NOT NULL UNIQUE,
    description          TEXT,
    extra                TEXT,
    start_time           TEXT NOT NULL,
    end_time             TEXT,
    reference_dataset_id TEXT,
    num_examples         INTEGER,
    num_repetitions      INTEGER,
    evaluator_keys       TEXT
);
CREATE INDEX sessions_by_time ON sessions (start_time, id);
CREATE INDEX sessions_by_dataset ON sessions (reference_dataset_id) WHERE reference_dataset_id IS NOT NULL;

-- One row per run id. A run has at most one create and one update: the update's fields win, whichever came
-- first, so post_n and patch_n (received, duplicates included) are all that must be known to merge them.
-- Small columns first: a page that does not select the big ones never reads their overflow pages.
CREATE TABLE runs (
    id                   TEXT PRIMARY KEY,
    post_n               INTEGER NOT NULL DEFAULT 0,
    patch_n              INTEGER NOT NULL DEFAULT 0,
    session_id           TEXT,
    trace_id             TEXT,
    parent_run_id        TEXT,
    dotted_order         TEXT,
    name                 TEXT,
    run_type             TEXT,
    start_time           TEXT,
    end_time             TEXT,
    first_token_time     TEXT,
    reference_example_id TEXT,
    prompt_tokens        INTEGER,
    completion_tokens    INTEGER,
    total_tokens         INTEGER,
    prompt_cost          TEXT,
    completion_cost      TEXT,
    total_cost           TEXT,
    usage_details        BLOB,
    tags                 TEXT,
    error                TEXT,
    status               TEXT GENERATED ALWAYS AS (
        CASE WHEN error IS NOT NULL AND error <> '' THEN 'error'
             WHEN end_time IS NOT NULL THEN 'success' ELSE 'pending' END) VIRTUAL,
    extra                BLOB,
    inputs               BLOB,
    outputs              BLOB,
    events               BLOB,
    serialized           BLOB
);
-- A run whose create has not arrived has no name and no start: it is kept, but not listed.
CREATE INDEX runs_by_session ON runs (session_id, start_time, id);
CREATE INDEX roots_by_session ON runs (session_id, start_time, id) WHERE post_n > 0 AND parent_run_id IS NULL;
CREATE INDEX runs_by_trace ON runs (trace_id);
CREATE INDEX runs_by_parent ON runs (parent_run_id) WHERE parent_run_id IS NOT NULL;
CREATE INDEX runs_by_example ON runs (reference_example_id, session_id) WHERE reference_example_id IS NOT NULL;

CREATE TABLE feedback (
    id          TEXT PRIMARY KEY,
    run_id      TEXT,
    session_id  TEXT,
    trace_id    TEXT,
    key         TEXT NOT NULL,
    score       REAL,
    value       TEXT,
    comment     TEXT,
    source_type TEXT,
    created_at  TEXT NOT NULL,
    body        BLOB NOT NULL
);
CREATE INDEX feedback_by_run ON feedback (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX feedback_by_session ON feedback (session_id, created_at, id);
CREATE INDEX feedback_by_trace ON feedback (trace_id) WHERE trace_id IS NOT NULL;

CREATE TABLE datasets (
    id              TEXT PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    description     TEXT,
    data_type       TEXT NOT NULL,
    inputs_schema   BLOB,
    outputs_schema  BLOB,
    transformations BLOB,
    metadata        TEXT,
    created_at      TEXT NOT NULL,
    modified_at     TEXT NOT NULL
);
CREATE INDEX datasets_by_time ON datasets (created_at, id);

-- Every write of an example is a version; it holds from valid_from until valid_to (null: still).
CREATE TABLE example_versions (
    version       INTEGER PRIMARY KEY,
    example_id    TEXT NOT NULL,
    dataset_id    TEXT NOT NULL,
    created_at    TEXT NOT NULL,
    valid_from    TEXT NOT NULL,
    valid_to      TEXT,
    source_run_id TEXT,
    metadata      TEXT NOT NULL,
    inputs        BLOB,
    outputs       BLOB
);
CREATE INDEX versions_by_dataset ON example_versions (dataset_id, created_at, example_id);
CREATE UNIQUE INDEX current_version ON example_versions (example_id) WHERE valid_to IS NULL;
CREATE INDEX versions_by_example ON example_versions (example_id, valid_from);

-- Attachments are stored once per content and named from runs and from example versions.
CREATE TABLE blobs (
    sha  TEXT PRIMARY KEY,
    data BLOB NOT NULL
);
CREATE TABLE run_attachments (
    run_id TEXT NOT NULL,
    name   TEXT NOT NULL,
    mime   TEXT NOT NULL,
    sha    TEXT NOT NULL,
    PRIMARY KEY (run_id, name)
) WITHOUT ROWID;
CREATE INDEX run_attachments_by_sha ON run_attachments (sha);
CREATE TABLE example_attachments (
    version INTEGER NOT NULL,
    name    TEXT NOT NULL,
    mime    TEXT NOT NULL,
    sha     TEXT NOT NULL,
    PRIMARY KEY (version, name)
) WITHOUT ROWID;
CREATE INDEX example_attachments_by_sha ON example_attachments (sha);
