-- Every key, joined; with :changed = 1 only those that the listings do not show to be in order,
-- and with :strict = 1 those, too, that were written on the source since they were last equal.
INSERT INTO work
SELECT t.key, t.size, t.etag, t.modified, t.settled,
       s.size, s.etag, s.modified,
       k.key IS NOT NULL, k.target_etag, k.source_etag,
       NULL, i.key IS NOT NULL, NULL
FROM seen_target AS t
LEFT JOIN seen_source AS s ON s.key = t.key
LEFT JOIN known AS k ON k.pair = :pair AND k.key = t.key
LEFT JOIN intended AS i ON i.pair = :pair AND i.key = t.key
WHERE NOT :changed
   OR s.key IS NULL
   OR k.target_etag IS NOT t.etag
   OR k.target_modified IS NOT t.modified
   OR k.source_etag IS NOT s.etag
   OR (:strict AND k.source_modified IS NOT s.modified)
UNION ALL
SELECT s.key, NULL, NULL, NULL, NULL,
       s.size, s.etag, s.modified,
       k.key IS NOT NULL, k.target_etag, k.source_etag,
       m.at, i.key IS NOT NULL, NULL
FROM seen_source AS s
LEFT JOIN known AS k ON k.pair = :pair AND k.key = s.key
LEFT JOIN intended AS i ON i.pair = :pair AND i.key = s.key
LEFT JOIN marked AS m ON m.key = s.key
WHERE NOT EXISTS (SELECT 1 FROM seen_target AS t WHERE t.key = s.key)
