-- Queues of runs that wait for a reviewer. `settings` holds what a queue says of itself beyond its name.
CREATE TABLE annotation_queues (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    settings   BLOB NOT NULL
);
CREATE INDEX queues_by_time ON annotation_queues (created_at, id);
CREATE TABLE annotation_queue_runs (
    position                   INTEGER PRIMARY KEY,
    id                         TEXT NOT NULL UNIQUE,
    queue_id                   TEXT NOT NULL,
    run_id                     TEXT NOT NULL,
    added_at                   TEXT NOT NULL,
    last_reviewed_time         TEXT,
    completed_at               TEXT,
    source_proposed_example_id TEXT,
    UNIQUE (queue_id, run_id)
);
CREATE INDEX queue_runs_in_order ON annotation_queue_runs (queue_id, added_at, position);
CREATE INDEX queue_runs_by_run ON annotation_queue_runs (run_id);
