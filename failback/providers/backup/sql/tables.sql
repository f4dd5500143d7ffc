-- The tables whose rows a dump carries, largest first. Partitions are represented by their root,
-- and what belongs to an extension comes back with the extension.
SELECT n.nspname || '.' || c.relname
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p')
  AND NOT c.relispartition
  AND c.relpersistence <> 't'
  AND n.nspname NOT LIKE 'pg\_%%'
  AND n.nspname <> 'information_schema'
  AND n.nspname <> ALL (%(excluded)s)
  AND NOT EXISTS (
      SELECT FROM pg_depend AS d
      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
  )
ORDER BY (
    SELECT coalesce(sum(pg_relation_size(p.relid)), pg_relation_size(c.oid))
    FROM pg_partition_tree(c.oid) AS p
) DESC, 1
