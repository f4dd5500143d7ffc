UPDATE failback_archive.replayed
SET upto = %(upto)s::pg_lsn,
    chain = %(chain)s,
    at = clock_timestamp(),
    segments = segments + 1,
    keys = keys + %(keys)s
WHERE backup = %(backup)s
