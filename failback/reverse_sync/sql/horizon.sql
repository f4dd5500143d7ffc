-- The snapshot is taken when this statement begins, the position while it runs: so every
-- commit that the snapshot sees lies before the position.
SELECT pg_current_snapshot()::text,
       pg_current_wal_insert_lsn()::text,
       pg_current_wal_flush_lsn()::text,
       clock_timestamp(),
       (SELECT system_identifier FROM pg_control_system()),
       s.slot_name IS NOT NULL,
       s.wal_status,
       s.confirmed_flush_lsn::text,
       ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::bigint,
       pg_current_wal_insert_lsn()::text,
       coalesce(pg_sequence_last_value(to_regclass('failback.witness')), 0)
FROM (VALUES (%(slot)s)) AS wanted (slot)
LEFT JOIN pg_replication_slots AS s
    ON s.slot_name = wanted.slot AND s.database = current_database() AND s.plugin = 'pgoutput'
