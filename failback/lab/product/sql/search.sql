-- The documents of one owner, or of all, that share most with the query, best first.
SELECT id::text, title, body, ts_rank(search, asked)::float8 AS rank
FROM public.documents, to_tsquery('simple', %(terms)s) AS asked
WHERE (%(owner)s::uuid IS NULL OR owner = %(owner)s::uuid) AND deleted_at IS NULL AND search @@ asked
ORDER BY rank DESC, created_at DESC
LIMIT 5
