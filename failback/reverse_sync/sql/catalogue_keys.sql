-- Indexes of the given tables that identify a row: unique, complete, checked at once, over
-- plain columns that are never null. The best one of a table comes first: the index that the
-- table's replica identity names, then its primary key, then the narrowest.
SELECT i.indrelid,
       x.relname AS index_name,
       i.indisprimary,
       i.indisreplident,
       k.names
FROM pg_index AS i
JOIN pg_class AS x ON x.oid = i.indexrelid
JOIN pg_class AS c ON c.oid = i.indrelid
CROSS JOIN LATERAL (
    SELECT array_agg(a.attname::text ORDER BY p.place) AS names,
           bool_and(a.attnotnull AND a.attnum > 0 AND a.attgenerated = '') AS usable,
           count(*) AS places
    FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS p (attnum, place)
    JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = p.attnum
    WHERE p.place <= i.indnkeyatts
) AS k
WHERE i.indrelid = ANY (%(tables)s::oid[])
  AND i.indisunique
  AND i.indimmediate
  AND i.indisvalid
  AND i.indpred IS NULL
  AND i.indexprs IS NULL
  AND k.usable
  AND k.places = i.indnkeyatts
ORDER BY i.indrelid,
         i.indisreplident AND c.relreplident = 'i' DESC,
         i.indisprimary DESC,
         i.indnkeyatts,
         x.relname
