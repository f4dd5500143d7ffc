INSERT INTO failback.catch_up
    (run, stream, origin, origin_applied, upto, applied, logs, changes, keys, is_binary, shapes)
VALUES (%(run)s, %(stream)s, %(origin)s::pg_lsn, %(origin_applied)s, %(upto)s::pg_lsn,
        %(applied)s::pg_snapshot, %(logs)s::text[], %(changes)s, %(keys)s, %(binary)s,
        %(shapes)s::jsonb)
