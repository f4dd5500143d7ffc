-- One level of a bucket: objects, and folders, which have a name and nothing else.
WITH found AS (
    SELECT substr(name, length(%(prefix)s) + 1) AS rest,
           id, created_at, updated_at, last_accessed_at, metadata
    FROM storage.objects
    WHERE bucket_id = %(bucket)s
      AND starts_with(name, %(prefix)s)
      AND (%(service)s OR owner = %(owner)s::uuid)
), level AS (
    SELECT rest AS name, id::text AS id, created_at, updated_at, last_accessed_at, metadata
    FROM found
    WHERE position('/' IN rest) = 0
    UNION ALL
    SELECT DISTINCT split_part(rest, '/', 1), NULL, NULL::timestamptz, NULL::timestamptz,
           NULL::timestamptz, NULL::jsonb
    FROM found
    WHERE position('/' IN rest) > 0
)
SELECT to_jsonb(level)
FROM level
WHERE %(search)s = '' OR position(lower(%(search)s) IN lower(name)) > 0
ORDER BY {order}
LIMIT %(limit)s OFFSET %(offset)s
