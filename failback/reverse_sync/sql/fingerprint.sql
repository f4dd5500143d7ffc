-- One number per table that changes with any column's name, type, place or kind.
SELECT a.attrelid::bigint,
       sum(hash_record_extended(
           row(a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attgenerated,
               a.attisdropped), 0))::text
FROM pg_attribute AS a
WHERE a.attrelid = ANY (%(tables)s::oid[]) AND a.attnum > 0
GROUP BY a.attrelid
