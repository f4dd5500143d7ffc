-- For each text column of the tables: whether it sorts by bytes on this side, so that a range of
-- keys holds the same rows on both sides.
SELECT a.attrelid, a.attname
FROM pg_attribute AS a
JOIN pg_collation AS c ON c.oid = a.attcollation
CROSS JOIN (SELECT * FROM pg_database WHERE datname = current_database()) AS d
WHERE a.attrelid = ANY (%(tables)s::oid[])
  AND a.attnum > 0
  AND NOT a.attisdropped
  AND (
      (c.collprovider = 'c' AND c.collcollate IN ('C', 'POSIX'))
      OR (c.collprovider = 'd' AND d.datlocprovider = 'c' AND d.datcollate IN ('C', 'POSIX'))
      OR c.collprovider = 'b'
      OR (c.collprovider = 'd' AND d.datlocprovider = 'b')
  )
