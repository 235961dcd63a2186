-- A shared dataset can be read by anyone who knows its token.
CREATE TABLE dataset_shares (
    dataset_id  TEXT PRIMARY KEY,
    share_token TEXT NOT NULL UNIQUE,
    created_at  TEXT NOT NULL
) WITHOUT ROWID;
