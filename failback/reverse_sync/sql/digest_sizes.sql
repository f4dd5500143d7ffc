-- The bytes of tables, partitions included, and whether we may read them.
SELECT t.oid,
       (
           SELECT coalesce(sum(pg_table_size(p.relid)), pg_table_size(t.oid))
           FROM pg_partition_tree(t.oid) AS p
       )::bigint AS bytes,
       has_table_privilege(t.oid, 'SELECT') AS readable
FROM unnest(%(tables)s::oid[]) AS t (oid)
