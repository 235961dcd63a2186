-- A token opens one run, and with it its trace, to readers without a key.
CREATE TABLE run_shares (
    run_id      TEXT PRIMARY KEY,
    share_token TEXT NOT NULL UNIQUE,
    created_at  TEXT NOT NULL
);
CREATE TRIGGER run_share_ends AFTER DELETE ON runs BEGIN
    DELETE FROM run_shares WHERE run_id = OLD.id;
END;
