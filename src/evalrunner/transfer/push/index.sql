-- What is held of it in memory, in KiB: most is read once, in its order.
PRAGMA cache_size = -8192;
-- What the index of an upload has no place for. Ids are the original's.
CREATE TABLE rated (run TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (run, id)) WITHOUT ROWID;
-- Runs of evaluators that gave feedback, and the traces that they lead to.
CREATE TABLE judges (run TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE led (trace TEXT PRIMARY KEY) WITHOUT ROWID;
-- Of traces that are no part of the experiment: their project.
CREATE TABLE elsewhere (trace TEXT PRIMARY KEY, project TEXT NOT NULL) WITHOUT ROWID;
-- What runs are of; and of the dataset's version: the copy, and whether it has been seen there.
CREATE TABLE used (example TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE examples (id TEXT PRIMARY KEY, source TEXT NOT NULL, seen INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX runs_by_id ON runs (id);
