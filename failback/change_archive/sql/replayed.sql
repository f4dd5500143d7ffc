-- How far archived changes have been replayed here, committed together with them.
CREATE SCHEMA IF NOT EXISTS failback_archive;
CREATE TABLE IF NOT EXISTS failback_archive.replayed (
    backup text PRIMARY KEY,
    chain text NOT NULL,
    upto pg_lsn NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    segments bigint NOT NULL DEFAULT 0,
    keys bigint NOT NULL DEFAULT 0
);
