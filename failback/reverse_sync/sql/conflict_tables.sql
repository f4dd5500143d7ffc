-- What a batch needs for one table while the receiver takes writes: the changed keys, the keys
-- that are locked here, the keys that the receiver changed itself, the sender's rows, the keys
-- that were inserted, and the keys that are parked.
CREATE TEMPORARY TABLE {keys} ON COMMIT DROP AS SELECT {key} FROM {table} WITH NO DATA;
CREATE TEMPORARY TABLE {locked} ON COMMIT DROP AS SELECT {key} FROM {table} WITH NO DATA;
CREATE TEMPORARY TABLE {changed} ON COMMIT DROP AS SELECT {key} FROM {table} WITH NO DATA;
CREATE TEMPORARY TABLE {rows} ON COMMIT DROP AS SELECT {columns} FROM {table} WITH NO DATA;
CREATE TEMPORARY TABLE {done} ON COMMIT DROP AS SELECT {key} FROM {table} WITH NO DATA;
CREATE TEMPORARY TABLE {parked} ON COMMIT DROP AS
    SELECT {key}, ''::text AS failback_reason FROM {table} WITH NO DATA;
