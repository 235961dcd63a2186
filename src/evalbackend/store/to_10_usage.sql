-- What a run's descendants used is summed up when the run is read (usage_sums.py): only runs that tell any count.
CREATE INDEX usage_by_trace ON runs (trace_id) WHERE COALESCE(total_tokens, prompt_tokens, completion_tokens,
    total_cost, prompt_cost, completion_cost, first_token_time) IS NOT NULL;
