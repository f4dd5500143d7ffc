INSERT INTO failback.stream (name, slot, system_identifier, lsn, receiver_slot)
VALUES (%(stream)s, %(slot)s, %(system)s, %(lsn)s::pg_lsn, %(slot)s)
ON CONFLICT (name) DO UPDATE
SET slot = excluded.slot,
    system_identifier = excluded.system_identifier,
    lsn = excluded.lsn,
    updated_at = clock_timestamp(),
    receiver_slot = excluded.receiver_slot,
    receiver_lsn = NULL
