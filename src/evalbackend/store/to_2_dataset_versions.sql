-- Every write of a dataset's examples makes a version; a tag names one version.
CREATE TABLE dataset_versions (
    dataset_id TEXT NOT NULL,
    as_of      TEXT NOT NULL,
    PRIMARY KEY (dataset_id, as_of)
) WITHOUT ROWID;
INSERT INTO dataset_versions (dataset_id, as_of)
    SELECT dataset_id, valid_from FROM example_versions
    UNION SELECT dataset_id, valid_to FROM example_versions WHERE valid_to IS NOT NULL;
UPDATE datasets SET modified_at =
    COALESCE((SELECT MAX(as_of) FROM dataset_versions WHERE dataset_id = datasets.id), modified_at);
CREATE TABLE dataset_tags (
    dataset_id TEXT NOT NULL,
    tag        TEXT NOT NULL,
    as_of      TEXT NOT NULL,
    PRIMARY KEY (dataset_id, tag)
) WITHOUT ROWID;
