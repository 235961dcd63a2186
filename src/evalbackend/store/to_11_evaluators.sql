-- Evaluators that a project would run on its own. They are kept and shown; nothing here runs them.
CREATE TABLE online_evaluators (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    type       TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    code       BLOB,
    llm        BLOB
);
CREATE INDEX evaluators_by_time ON online_evaluators (created_at, id);
