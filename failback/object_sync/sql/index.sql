CREATE INDEX IF NOT EXISTS unconfirmed ON known (pair, key, source_etag)
WHERE source_modified IS NULL AND source_etag IS NOT NULL;
