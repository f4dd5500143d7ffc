-- Rows whose foreign key leads nowhere, with how many there are.
SELECT count(*) OVER () AS violations, ROW({child_columns})::text AS example
FROM {child} AS child
WHERE {within}
  AND {complete}
  AND NOT EXISTS (SELECT FROM {parent} AS parent WHERE {matches})
LIMIT 5
