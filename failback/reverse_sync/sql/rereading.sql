-- What lies between the slot's beginning and its position, and whether we may write the record
-- that brings them together (since PostgreSQL 16, where it was granted).
SELECT pg_wal_lsn_diff(s.confirmed_flush_lsn, s.restart_lsn)::bigint,
       CASE WHEN f.oid IS NOT NULL THEN has_function_privilege(f.oid, 'EXECUTE') ELSE false END
FROM pg_replication_slots AS s
CROSS JOIN (SELECT to_regprocedure('pg_log_standby_snapshot()')::oid AS oid) AS f
WHERE s.slot_name = %(slot)s
