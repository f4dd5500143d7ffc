-- One number per table that changes with any column's name, type, place or kind, with what may
-- refuse a row, and with the types that somebody made.
WITH types AS (
    SELECT coalesce(
               (SELECT sum(hash_record_extended(row(enumtypid, enumlabel), 0)) FROM pg_enum), 0)
           + coalesce(
               (SELECT sum(hash_record_extended(row(contypid, oid), 0))
                FROM pg_constraint WHERE contypid <> 0), 0)
           + coalesce(
               (SELECT sum(hash_record_extended(row(p.attrelid, p.attname, p.atttypid), 0))
                FROM pg_class AS c
                JOIN pg_attribute AS p ON p.attrelid = c.oid
                WHERE c.relkind = 'c'), 0) AS number
)
SELECT a.attrelid::bigint,
       (sum(hash_record_extended(
           row(a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attgenerated,
               a.attisdropped), 0))
        + coalesce(
            (SELECT sum(hash_record_extended(row(i.indexrelid, i.indisvalid), 0))
             FROM pg_index AS i WHERE i.indrelid = a.attrelid AND i.indisunique), 0)
        + coalesce(
            (SELECT sum(hash_record_extended(row(r.oid, r.contype), 0))
             FROM pg_constraint AS r
             WHERE r.conrelid = a.attrelid AND r.contype IN ('c', 'f', 'x')), 0)
        + (SELECT number FROM types))::text
FROM pg_attribute AS a
WHERE a.attrelid = ANY (%(tables)s::oid[]) AND a.attnum > 0
GROUP BY a.attrelid
