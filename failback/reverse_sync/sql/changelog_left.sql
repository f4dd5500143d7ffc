-- The changelog's tables of relations that are armed no more.
SELECT c.relname
FROM pg_class AS c
WHERE c.relnamespace = to_regnamespace('failback')
  AND c.relkind = 'r'
  AND c.relname ~ '^changelog_\d+$'
  AND c.relname <> ALL (%(roots)s::text[])
