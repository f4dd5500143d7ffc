INSERT INTO failback.canary (id, token)
VALUES (%(id)s, %(token)s)
ON CONFLICT (id) DO UPDATE
SET token = excluded.token, written_at = clock_timestamp()
