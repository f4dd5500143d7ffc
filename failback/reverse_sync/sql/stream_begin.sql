INSERT INTO failback.stream
    (name, slot, system_identifier, lsn, receiver_slot, capture, receiver_capture, timeline,
     applied, acknowledged)
VALUES (%(stream)s, %(slot)s, %(system)s, %(lsn)s::pg_lsn, %(slot)s, %(capture)s,
        %(receiver_capture)s, %(timeline)s, %(applied)s::pg_snapshot, %(acknowledged)s)
ON CONFLICT (name) DO UPDATE
SET slot = excluded.slot,
    system_identifier = excluded.system_identifier,
    lsn = excluded.lsn,
    updated_at = clock_timestamp(),
    receiver_slot = excluded.receiver_slot,
    receiver_lsn = NULL,
    capture = excluded.capture,
    receiver_capture = excluded.receiver_capture,
    timeline = excluded.timeline,
    applied = excluded.applied,
    acknowledged = excluded.acknowledged,
    proved_fenced = false,
    lost = ''
