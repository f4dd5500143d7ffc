-- The newest entry's place in the chain.
SELECT sequence, hash
FROM failback_audit.entries
WHERE estate = %(estate)s
ORDER BY sequence DESC
LIMIT 1;
