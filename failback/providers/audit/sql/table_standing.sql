-- Entries whose kind and key stand in the log already.
SELECT e.sequence, e.kind, e.key, e.at, e.who, e.subject, e.body, e.previous_hash, e.hash
FROM failback_audit.entries AS e
JOIN unnest(%(kinds)s::text[], %(keys)s::text[]) AS wanted (kind, key)
    ON e.kind = wanted.kind AND e.key = wanted.key
WHERE e.estate = %(estate)s;
