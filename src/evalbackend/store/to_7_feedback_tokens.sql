-- Tokens by which somebody without a key gives feedback on one run, under one key, until they expire.
CREATE TABLE feedback_tokens (
    token       TEXT PRIMARY KEY,
    run_id      TEXT NOT NULL,
    key         TEXT NOT NULL,
    feedback_id TEXT,
    expires_at  TEXT NOT NULL,
    created_at  TEXT NOT NULL
);
CREATE INDEX feedback_tokens_by_run ON feedback_tokens (run_id, created_at, token);
-- How the scores of a key are to be understood.
CREATE TABLE feedback_configs (
    key                   TEXT PRIMARY KEY,
    config                BLOB NOT NULL,
    is_lower_score_better INTEGER NOT NULL DEFAULT 0,
    is_enforced           INTEGER NOT NULL DEFAULT 0,
    modified_at           TEXT NOT NULL
);
