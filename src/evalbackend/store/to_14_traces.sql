-- A root run is found by its id, which is its trace's too: only the others need an entry (functions.py, in_traces).
DROP INDEX runs_by_trace;
CREATE INDEX runs_by_trace ON runs (trace_id) WHERE trace_id <> id;
