-- Every trigger of this database that writes the changelog, with the table it is on.
SELECT n.nspname, c.relname, array_agg(t.tgname ORDER BY t.tgname)
FROM pg_trigger AS t
JOIN pg_class AS c ON c.oid = t.tgrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_proc AS f ON f.oid = t.tgfoid
WHERE f.pronamespace = to_regnamespace('failback') AND f.proname ~ '^changelog_\d+$'
  AND (%(roots)s::text[] IS NULL OR f.proname <> ALL (%(roots)s::text[]))
GROUP BY n.nspname, c.relname
ORDER BY 1, 2
