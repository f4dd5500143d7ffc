-- The next stretch of the chain.
SELECT sequence, kind, key, at, who, subject, body, previous_hash, hash
FROM failback_audit.entries
WHERE estate = %(estate)s AND sequence > %(after)s
ORDER BY sequence
LIMIT %(limit)s;
