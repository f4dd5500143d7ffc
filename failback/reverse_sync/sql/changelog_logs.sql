-- The changelog's tables that have rows, with how many are to be applied, and whether a mark is
-- among them that says that the whole table may have changed. Marks are rows of the changelog's
-- root, and name their table.
SELECT coalesce(found.relation, l.relation::oid)::bigint, l.name, found.rows, found.whole
FROM (
    SELECT tableoid,
           relation,
           count(*) FILTER (
               WHERE NOT pg_visible_in_snapshot(xid, %(applied)s::pg_snapshot)
               AND xid < %(upto)s::text::xid8
           ) AS rows,
           relation IS NOT NULL AS whole
    FROM failback.changelog
    GROUP BY tableoid, relation
) AS found
CROSS JOIN LATERAL (
    SELECT c.relname AS name, substring(c.relname FROM '^changelog_(\d+)$') AS relation
    FROM pg_class AS c WHERE c.oid = found.tableoid
) AS l
ORDER BY found.whole, l.name
