-- Slots of this database that carry our name, are read by nobody, and belong to no stream here.
SELECT s.slot_name::text,
       coalesce(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), s.restart_lsn), 0)::bigint
FROM pg_replication_slots AS s
WHERE s.slot_name LIKE 'failback\_%%'
  AND s.database = current_database()
  AND s.slot_type = 'logical'
  AND NOT s.temporary
  AND NOT s.active
  AND s.slot_name <> ALL (%(expected)s::text[])
ORDER BY 1
