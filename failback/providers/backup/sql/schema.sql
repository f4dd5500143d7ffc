-- One line for each thing of a schema that a restore must bring back. Expressions are left out:
-- a server may write one differently once it has read it back. Owners and rights are left out,
-- because a trial restore brings none back.
WITH own AS (
    SELECT n.nspname || '.' || c.relname AS name, c.*
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c')
      AND c.relpersistence <> 't'
      AND n.nspname NOT LIKE 'pg\_%%'
      AND n.nspname <> 'information_schema'
      AND n.nspname <> ALL (%(excluded)s)
      AND NOT EXISTS (
          SELECT FROM pg_depend AS d
          WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
      )
)
SELECT line
FROM (
    SELECT concat_ws(' ', 'relation', name, relkind, relpersistence, relrowsecurity,
                     relforcerowsecurity, relreplident) AS line
    FROM own
    UNION ALL
    SELECT concat_ws(' ', 'column', own.name,
                     row_number() OVER (PARTITION BY own.oid ORDER BY a.attnum), a.attname,
                     format_type(a.atttypid, a.atttypmod), a.attnotnull, a.atthasdef,
                     a.attidentity, a.attgenerated)
    FROM own
    JOIN pg_attribute AS a ON a.attrelid = own.oid
    WHERE a.attnum > 0 AND NOT a.attisdropped AND own.relkind <> 'S'
    UNION ALL
    SELECT concat_ws(' ', 'constraint', own.name, k.conname, k.contype, k.convalidated,
                     k.condeferrable, k.condeferred, (
                         SELECT string_agg(a.attname, ',' ORDER BY place.number)
                         FROM unnest(k.conkey) WITH ORDINALITY AS place (attnum, number)
                         JOIN pg_attribute AS a
                           ON a.attrelid = k.conrelid AND a.attnum = place.attnum
                     ))
    FROM own
    JOIN pg_constraint AS k ON k.conrelid = own.oid
    -- Newer servers list NOT NULL here as well, and constraint triggers are triggers.
    WHERE k.contype NOT IN ('n', 't')
    UNION ALL
    SELECT concat_ws(' ', 'index', own.name, x.relname, i.indisunique, i.indisprimary,
                     i.indnkeyatts, i.indnatts, i.indpred IS NOT NULL, i.indexprs IS NOT NULL)
    FROM own
    JOIN pg_index AS i ON i.indrelid = own.oid
    JOIN pg_class AS x ON x.oid = i.indexrelid
    WHERE i.indisvalid
    UNION ALL
    SELECT concat_ws(' ', 'trigger', own.name, t.tgname, t.tgtype, t.tgenabled, p.proname)
    FROM own
    JOIN pg_trigger AS t ON t.tgrelid = own.oid
    JOIN pg_proc AS p ON p.oid = t.tgfoid
    WHERE NOT t.tgisinternal
    UNION ALL
    SELECT concat_ws(' ', 'policy', own.name, p.polname, p.polcmd, p.polpermissive)
    FROM own
    JOIN pg_policy AS p ON p.polrelid = own.oid
    UNION ALL
    SELECT concat_ws(' ', 'function', n.nspname, p.proname,
                     pg_get_function_identity_arguments(p.oid), p.prokind, p.prosecdef,
                     md5(p.prosrc))
    FROM pg_proc AS p
    JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE n.nspname NOT LIKE 'pg\_%%'
      AND n.nspname <> 'information_schema'
      AND n.nspname <> ALL (%(excluded)s)
      AND NOT EXISTS (
          SELECT FROM pg_depend AS d
          WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
      )
    UNION ALL
    SELECT concat_ws(' ', 'type', n.nspname, t.typname, t.typtype, (
                         SELECT string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder)
                         FROM pg_enum AS e WHERE e.enumtypid = t.oid
                     ))
    FROM pg_type AS t
    JOIN pg_namespace AS n ON n.oid = t.typnamespace
    WHERE t.typtype IN ('e', 'd', 'r')
      AND n.nspname NOT LIKE 'pg\_%%'
      AND n.nspname <> 'information_schema'
      AND n.nspname <> ALL (%(excluded)s)
      AND NOT EXISTS (
          SELECT FROM pg_depend AS d
          WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
      )
) AS lines
ORDER BY line COLLATE "C"
