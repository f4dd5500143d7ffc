UPDATE failback.conflicts
SET settled_at = clock_timestamp(),
    settled_by = %(who)s,
    resolution = %(resolution)s,
    kept = %(kept)s
WHERE id = %(id)s AND settled_at IS NULL
