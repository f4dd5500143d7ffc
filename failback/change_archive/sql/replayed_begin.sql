INSERT INTO failback_archive.replayed (backup, chain, upto)
VALUES (%(backup)s, %(chain)s, %(upto)s::pg_lsn)
ON CONFLICT (backup) DO NOTHING
