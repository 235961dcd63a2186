-- Root runs of which only an update has arrived: no query lists them, and the pages name them. Hardly a run is ever here.
CREATE INDEX ends_by_session ON runs (session_id, start_time, id) WHERE post_n = 0 AND parent_run_id IS NULL;
