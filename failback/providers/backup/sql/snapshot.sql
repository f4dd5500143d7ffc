-- A name for this transaction's snapshot, the snapshot itself, and when it was taken.
SELECT pg_export_snapshot(), pg_current_snapshot()::text, clock_timestamp()
