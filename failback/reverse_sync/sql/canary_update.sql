UPDATE failback.canary
SET token = %(token)s, written_at = clock_timestamp()
WHERE id = %(id)s
