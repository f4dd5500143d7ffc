SELECT n.nspname || '.' || c.relname
FROM pg_publication AS p
JOIN pg_publication_rel AS r ON r.prpubid = p.oid
JOIN pg_class AS c ON c.oid = r.prrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE p.pubname = %(publication)s
