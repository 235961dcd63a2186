-- Runs that a fault plan holds back from every read have a negative post_n (store/runs_late.py).
CREATE INDEX runs_held_back ON runs (id) WHERE post_n < 0;
