SELECT s.wal_status,
       s.invalidation,
       pg_wal_lsn_diff(pg_current_wal_insert_lsn(), s.restart_lsn)::bigint,
       pg_current_wal_insert_lsn()::text
FROM (
    SELECT slot_name, wal_status, restart_lsn, database,
           to_jsonb(r) ->> 'invalidation_reason' AS invalidation
    FROM pg_replication_slots AS r
) AS s
WHERE s.slot_name = %(slot)s AND s.database = current_database()
