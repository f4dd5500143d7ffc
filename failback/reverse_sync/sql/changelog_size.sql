SELECT coalesce(sum(pg_table_size(c.oid)), 0)::bigint
FROM pg_class AS c
WHERE c.relnamespace = to_regnamespace('failback')
  AND c.relkind = 'r'
  AND c.relname ~ '^changelog(_\d+)?$'
