-- A large backlog that several workers carry, cut into shares; at most one of a database. Its tables
-- are there only while it is: they are committed with the keys in them, and are gone with the
-- position that settles it, or with the batch that takes over.
CREATE TABLE failback.catch_up (
    run text PRIMARY KEY,
    stream text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The stream's position when the keys were read: where it is another one, the catch-up is over.
    origin pg_lsn NOT NULL,
    origin_applied text NOT NULL,
    -- The position of a receiver that has all of it.
    upto pg_lsn NOT NULL,
    -- The changelog's rows that are among them, and its tables that can be shortened afterwards.
    applied pg_snapshot,
    logs text[] NOT NULL DEFAULT '{}',
    changes bigint NOT NULL,
    keys bigint NOT NULL,
    is_binary boolean NOT NULL,
    -- By table: oid and fingerprint on the sender, oid and fingerprint on the receiver.
    shapes jsonb NOT NULL
);

-- What one activity carries in one transaction: some tables, or some of the keys of one.
CREATE TABLE failback.catch_up_share (
    run text NOT NULL,
    share integer NOT NULL,
    label text NOT NULL,
    keys bigint NOT NULL,
    rows bigint NOT NULL DEFAULT 0,
    bytes bigint NOT NULL DEFAULT 0,
    carried_at timestamptz,
    PRIMARY KEY (run, share)
);

-- The keys as the stream wrote them, each with its length before it, some thousands to a row. A
-- table that is copied whole has one row without keys.
CREATE TABLE failback.catch_up_keys (
    run text NOT NULL,
    share integer NOT NULL,
    place integer NOT NULL,
    name text NOT NULL,
    relation bigint NOT NULL,
    columns text[] NOT NULL,
    whole_row boolean NOT NULL,
    whole boolean NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (run, share, place)
);

-- Keys hardly compress, and are written and read once.
ALTER TABLE failback.catch_up_keys ALTER COLUMN data SET STORAGE EXTERNAL;
