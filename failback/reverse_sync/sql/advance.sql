SELECT pg_replication_slot_advance(s.slot_name, {lsn}::pg_lsn)
FROM pg_replication_slots AS s
WHERE s.slot_name = {slot}
  AND s.confirmed_flush_lsn < least({lsn}::pg_lsn, pg_current_wal_flush_lsn())
