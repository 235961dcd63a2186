-- Threads wait for a reviewer too: an item of a queue is a run, or a thread of a project.
ALTER TABLE annotation_queue_runs RENAME TO annotation_queue_runs_before;
CREATE TABLE annotation_queue_runs (
    position                   INTEGER PRIMARY KEY,
    id                         TEXT NOT NULL UNIQUE,
    queue_id                   TEXT NOT NULL,
    run_id                     TEXT,
    thread_id                  TEXT,
    project_id                 TEXT, -- of a thread; a run tells its own
    start_time                 TEXT,
    added_at                   TEXT NOT NULL,
    last_reviewed_time         TEXT,
    completed_at               TEXT,
    source_proposed_example_id TEXT,
    UNIQUE (queue_id, run_id),
    UNIQUE (queue_id, project_id, thread_id)
);
INSERT INTO annotation_queue_runs (position, id, queue_id, run_id, start_time, added_at, last_reviewed_time,
    completed_at, source_proposed_example_id)
    SELECT position, id, queue_id, run_id, (SELECT start_time FROM runs WHERE runs.id = run_id), added_at,
        last_reviewed_time, completed_at, source_proposed_example_id FROM annotation_queue_runs_before;
DROP TABLE annotation_queue_runs_before;
CREATE INDEX queue_runs_in_order ON annotation_queue_runs (queue_id, added_at, position);
CREATE INDEX queue_runs_by_run ON annotation_queue_runs (run_id);
