-- What the receiver knows to be equal on both sides, by chunks of keys. The same on both sides, so
-- that the direction can turn round.

-- How a table is parted. Its marks count the transactions that may have changed any of its rows.
CREATE TABLE IF NOT EXISTS failback.ledger_table (
    stream text NOT NULL,
    name text NOT NULL,
    -- Of everything that decides which rows have which digest, on both sides.
    identity text NOT NULL,
    -- Where chunks begin, but for the first: one list for each column of the key.
    bounds text[] NOT NULL,
    marks bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (stream, name)
) WITH (fillfactor = 50);

-- Marks are those of the table when the chunk was marked last. A chunk is clean while they are those
-- that were there when both sides agreed on it.
CREATE TABLE IF NOT EXISTS failback.ledger (
    stream text NOT NULL,
    name text NOT NULL,
    chunk integer NOT NULL,
    marks bigint NOT NULL DEFAULT 0,
    verified_marks bigint,
    rows bigint NOT NULL DEFAULT 0,
    first numeric NOT NULL DEFAULT 0,
    second numeric NOT NULL DEFAULT 0,
    lsn pg_lsn,
    verified_at timestamptz,
    PRIMARY KEY (stream, name, chunk)
) WITH (fillfactor = 60);

-- Up to where the receiver's own log was searched for changes that failback did not make.
CREATE TABLE IF NOT EXISTS failback.ledger_watch (
    stream text PRIMARY KEY,
    slot text NOT NULL,
    watched pg_lsn NOT NULL
);

-- Foreign keys that held while their tables had these marks.
CREATE TABLE IF NOT EXISTS failback.ledger_rule (
    stream text NOT NULL,
    name text NOT NULL,
    state text NOT NULL,
    verified_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (stream, name)
);
