-- Experiments compared with each other; the feedback that does so names the comparison.
CREATE TABLE comparative_experiments (
    id                   TEXT PRIMARY KEY,
    name                 TEXT,
    description          TEXT,
    reference_dataset_id TEXT NOT NULL,
    created_at           TEXT NOT NULL,
    modified_at          TEXT NOT NULL,
    extra                BLOB
);
CREATE INDEX comparative_by_dataset ON comparative_experiments (reference_dataset_id, created_at, id);
CREATE TABLE comparative_sessions (
    comparative_id TEXT NOT NULL,
    position       INTEGER NOT NULL,
    session_id     TEXT NOT NULL,
    PRIMARY KEY (comparative_id, position)
) WITHOUT ROWID;
CREATE TRIGGER comparative_ends AFTER DELETE ON comparative_experiments BEGIN
    DELETE FROM comparative_sessions WHERE comparative_id = OLD.id;
END;
CREATE TRIGGER comparative_ends_with_dataset AFTER DELETE ON datasets BEGIN
    DELETE FROM comparative_experiments WHERE reference_dataset_id = OLD.id;
END;
ALTER TABLE feedback ADD COLUMN comparative_experiment_id TEXT;
UPDATE feedback SET comparative_experiment_id = json_extract(CAST(body AS TEXT), '$.comparative_experiment_id')
    WHERE json_extract(CAST(body AS TEXT), '$.comparative_experiment_id') IS NOT NULL;
CREATE INDEX feedback_by_comparison ON feedback (comparative_experiment_id)
    WHERE comparative_experiment_id IS NOT NULL;
