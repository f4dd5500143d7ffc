-- The columns of the given tables. A column's base type is what is left when domains and
-- arrays are unwrapped, as deep as they go: that decides how its values can travel.
WITH RECURSIVE unwrapped AS (
    SELECT DISTINCT a.atttypid AS type_oid, a.atttypid AS base_oid, 0 AS depth, false AS is_array
    FROM pg_attribute AS a
    WHERE a.attrelid = ANY (%(tables)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT u.type_oid,
           CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END,
           u.depth + 1,
           u.is_array OR t.typtype <> 'd'
    FROM unwrapped AS u
    JOIN pg_type AS t ON t.oid = u.base_oid
    WHERE t.typtype = 'd'
       OR (t.typsubscript = 'array_subscript_handler'::regproc AND t.typelem <> 0)
),
base AS (
    SELECT DISTINCT ON (type_oid) type_oid, base_oid, is_array
    FROM unwrapped
    ORDER BY type_oid, depth DESC
)
SELECT a.attrelid,
       a.attname,
       format_type(a.atttypid, a.atttypmod) AS type_name,
       a.atttypid AS type_oid,
       t.typtype AS type_kind,
       bn.nspname AS base_schema,
       bt.typname AS base_name,
       bt.typtype AS base_kind,
       coalesce(
           (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder)
            FROM pg_enum AS e WHERE e.enumtypid = bt.oid),
           '{}') AS labels,
       a.attnotnull,
       a.attgenerated,
       a.attidentity,
       a.atthasdef AS has_default,
       b.is_array,
       CASE WHEN a.attgenerated <> '' THEN
           (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef AS d
            WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum)
       ELSE '' END AS expression,
       coalesce(
           (SELECT array_agg(p.attname || ' ' || format_type(p.atttypid, p.atttypmod)
                             ORDER BY p.attnum)
            FROM pg_attribute AS p
            WHERE bt.typtype = 'c' AND p.attrelid = bt.typrelid AND NOT p.attisdropped), '{}')
       || coalesce(
           (SELECT array_agg(pg_get_constraintdef(k.oid) ORDER BY pg_get_constraintdef(k.oid))
            FROM pg_constraint AS k WHERE k.contypid = t.oid AND k.contype = 'c'), '{}') AS shape,
       coalesce(
           (SELECT l.collisdeterministic FROM pg_collation AS l WHERE l.oid = a.attcollation),
           true) AS deterministic
FROM pg_attribute AS a
JOIN pg_type AS t ON t.oid = a.atttypid
JOIN base AS b ON b.type_oid = a.atttypid
JOIN pg_type AS bt ON bt.oid = b.base_oid
JOIN pg_namespace AS bn ON bn.oid = bt.typnamespace
WHERE a.attrelid = ANY (%(tables)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
