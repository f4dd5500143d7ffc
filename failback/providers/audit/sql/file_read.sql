-- The newest entries that were asked for, oldest first. An empty list of kinds means all.
SELECT sequence, kind, key, at, who, subject, body, previous_hash, hash
FROM (
    SELECT *
    FROM audit_log
    WHERE (:kinds = '[]' OR kind IN (SELECT value FROM json_each(:kinds)))
      AND (:since IS NULL OR at >= :since)
      AND (:until IS NULL OR at <= :until)
      AND (:subject = '' OR subject = :subject)
    ORDER BY sequence DESC
    LIMIT :limit
)
ORDER BY sequence;
