-- What failback keeps on a side. The same on both, so that the direction can turn round.
CREATE SCHEMA IF NOT EXISTS failback;

-- One estate owns the schema of a database.
CREATE TABLE IF NOT EXISTS failback.estate (
    name text PRIMARY KEY,
    armed_at timestamptz NOT NULL DEFAULT now()
);

-- What arming changed and disarming must undo; written before the change is made.
CREATE TABLE IF NOT EXISTS failback.undo (
    kind text NOT NULL,
    object text NOT NULL,
    was text NOT NULL DEFAULT '',
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, object)
);

-- A row that is written, updated and deleted to prove that changes arrive.
CREATE TABLE IF NOT EXISTS failback.canary (
    id integer PRIMARY KEY,
    token text NOT NULL,
    written_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- How far the other side's changes have been applied here, committed together with them.
CREATE TABLE IF NOT EXISTS failback.stream (
    name text PRIMARY KEY,
    slot text NOT NULL,
    system_identifier bigint NOT NULL,
    lsn pg_lsn NOT NULL,
    batch bigint NOT NULL DEFAULT 0,
    changes bigint NOT NULL DEFAULT 0,
    keys bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The slot by which this side's own changes are found, and from where they count: set when
    -- this side takes writes again, while the tail of the other one may not be empty yet.
    receiver_slot text NOT NULL,
    receiver_lsn pg_lsn
);

-- The tables whose history is known from the moment their capture began. A table that is to be
-- copied whole has changes that were not captured, or a problem that was cured since.
CREATE TABLE IF NOT EXISTS failback.stream_table (
    stream text NOT NULL,
    name text NOT NULL,
    copy_whole boolean NOT NULL DEFAULT false,
    PRIMARY KEY (stream, name)
);
