-- Returns the version that was replaced, so that its file can be removed afterwards. No row
-- means that the object is there already and may not be replaced by this caller.
WITH before AS (
    SELECT version FROM storage.objects WHERE bucket_id = %(bucket)s AND name = %(name)s
), stored AS (
    INSERT INTO storage.objects (bucket_id, name, owner, version, metadata)
    VALUES (%(bucket)s, %(name)s, %(owner)s::uuid, %(version)s, %(metadata)s::jsonb)
    ON CONFLICT (bucket_id, name) DO UPDATE
    SET version = excluded.version, metadata = excluded.metadata, updated_at = now()
    WHERE %(replace)s AND (%(service)s OR objects.owner = excluded.owner)
    RETURNING id
)
SELECT stored.id::text, before.version FROM stored LEFT JOIN before ON true
