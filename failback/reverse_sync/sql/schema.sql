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

-- How the sender's changes are captured, and what only some ways of it need.
ALTER TABLE failback.stream
    -- `slot`, `changelog` or `diff`; and how this side's own changes are found: `slot`,
    -- `changelog` or `none`.
    ADD COLUMN IF NOT EXISTS capture text NOT NULL DEFAULT 'slot',
    ADD COLUMN IF NOT EXISTS receiver_capture text NOT NULL DEFAULT 'slot',
    -- Of the sender when it was armed: a failover or a restore begins another one.
    ADD COLUMN IF NOT EXISTS timeline bigint,
    -- The changelog's rows that this snapshot sees have been applied.
    ADD COLUMN IF NOT EXISTS applied pg_snapshot,
    -- A batch that the sender's own failback.witness is known to have counted.
    ADD COLUMN IF NOT EXISTS acknowledged bigint NOT NULL DEFAULT 0,
    -- Why changes may be missing; empty while none are. It stays until capture begins anew.
    -- And: both sides were compared and made equal while the sender was fenced and still is.
    ADD COLUMN IF NOT EXISTS lost text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS proved_fenced boolean NOT NULL DEFAULT false,
    -- Which raising of that fence it was proved behind; null where the sender does not count them.
    ADD COLUMN IF NOT EXISTS proved_raising bigint;

-- Why the two sides may differ in a table by more than what is captured; empty where they may
-- not. Such a table is compared by checksum until a comparison has found it equal.
ALTER TABLE failback.stream_table
    ADD COLUMN IF NOT EXISTS unproven text NOT NULL DEFAULT '';

-- Capture that was given up deliberately on this side, so that nobody takes it for an accident.
CREATE TABLE IF NOT EXISTS failback.given_up (
    slot text PRIMARY KEY,
    reason text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Why a table is left out of batches for now, and what to run; empty where it is not.
ALTER TABLE failback.stream_table
    ADD COLUMN IF NOT EXISTS stopped text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS cure text NOT NULL DEFAULT '';

-- Which side sends, and how often that was turned round: where the two sides do not say the same,
-- the one that was turned more often is right.
ALTER TABLE failback.estate
    ADD COLUMN IF NOT EXISTS sender text NOT NULL DEFAULT 'target',
    ADD COLUMN IF NOT EXISTS turn integer NOT NULL DEFAULT 0;

-- Why no change of a table can be captured; empty where it can.
ALTER TABLE failback.stream_table
    ADD COLUMN IF NOT EXISTS uncaptured text NOT NULL DEFAULT '';

-- Counts the batches that were carried over from this side. A copy of it that comes back from
-- before counts fewer than the receiver knows of, however far its log has grown since.
CREATE SEQUENCE IF NOT EXISTS failback.witness MINVALUE 0 START 0;
