SELECT count(*), coalesce(sum(t.size), 0)
FROM seen_target AS t
WHERE NOT EXISTS (SELECT 1 FROM work AS w WHERE w.key = t.key);
