-- The newest entries that were asked for, oldest first. An empty list of kinds means all.
SELECT *
FROM (
    SELECT sequence, kind, key, at, who, subject, body, previous_hash, hash
    FROM failback_audit.entries
    WHERE estate = %(estate)s
      AND (cardinality(%(kinds)s::text[]) = 0 OR kind = ANY (%(kinds)s::text[]))
      AND (%(since)s::timestamptz IS NULL OR at >= %(since)s)
      AND (%(until)s::timestamptz IS NULL OR at <= %(until)s)
      AND (%(subject)s::text = '' OR subject = %(subject)s)
    ORDER BY sequence DESC
    LIMIT %(limit)s
) AS newest
ORDER BY sequence;
