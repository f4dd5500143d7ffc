INSERT INTO failback.ledger_watch AS w (stream, slot, watched)
VALUES (%(stream)s, %(slot)s, %(lsn)s::pg_lsn)
ON CONFLICT (stream) DO UPDATE
SET slot = excluded.slot, watched = greatest(w.watched, excluded.watched)
