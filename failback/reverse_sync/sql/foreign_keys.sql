-- Every foreign key that leads from or to one of the tables, with what its check compares. Those
-- of partitions are parts of their root's.
SELECT c.conname,
       child.nspname, r.relname, r.relkind = 'r',
       parent.nspname, f.relname, f.relkind = 'r',
       c.convalidated,
       coalesce((to_jsonb(c) ->> 'conperiod')::boolean, false) AS temporal,
       c.confmatchtype = 'f' AS match_full,
       (
           SELECT json_agg(json_build_array(
                      ca.attname, pa.attname, o.oprname, n.nspname,
                      CASE WHEN ca.attcollation <> pa.attcollation THEN l.nspname END,
                      CASE WHEN ca.attcollation <> pa.attcollation THEN k.collname END)
                  ORDER BY x.place)
           FROM unnest(c.conkey, c.confkey, c.conpfeqop)
               WITH ORDINALITY AS x (child, parent, operator, place)
           JOIN pg_attribute AS ca ON ca.attrelid = c.conrelid AND ca.attnum = x.child
           JOIN pg_attribute AS pa ON pa.attrelid = c.confrelid AND pa.attnum = x.parent
           JOIN pg_operator AS o ON o.oid = x.operator
           JOIN pg_namespace AS n ON n.oid = o.oprnamespace
           LEFT JOIN pg_collation AS k ON k.oid = pa.attcollation
           LEFT JOIN pg_namespace AS l ON l.oid = k.collnamespace
       ) AS columns
FROM pg_constraint AS c
JOIN pg_class AS r ON r.oid = c.conrelid
JOIN pg_namespace AS child ON child.oid = r.relnamespace
JOIN pg_class AS f ON f.oid = c.confrelid
JOIN pg_namespace AS parent ON parent.oid = f.relnamespace
WHERE c.contype = 'f'
  AND c.conparentid = 0
  AND (c.conrelid = ANY (%(tables)s::oid[]) OR c.confrelid = ANY (%(tables)s::oid[]))
ORDER BY child.nspname, r.relname, c.conname
