SELECT count(*), count(*) FILTER (WHERE NOT is_intended AND known_target IS NULL)
FROM work
WHERE target_etag IS NULL;
