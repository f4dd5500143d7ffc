UPDATE failback.stream
SET receiver_lsn = coalesce(receiver_lsn, pg_current_wal_insert_lsn())
WHERE name = %(stream)s
