-- Whether a run's usage is told once more below it is found by its place in the trace (usage_rules.py).
DROP INDEX usage_by_trace;
CREATE INDEX usage_by_trace ON runs (trace_id, dotted_order) WHERE COALESCE(total_tokens, prompt_tokens,
    completion_tokens, total_cost, prompt_cost, completion_cost, first_token_time) IS NOT NULL;
-- Runs whose costs were not told but worked out from a table of prices: what a later update tells replaces them.
CREATE TABLE priced_runs (run_id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TRIGGER priced_run_ends AFTER DELETE ON runs BEGIN
    DELETE FROM priced_runs WHERE run_id = OLD.id;
END;
