-- Sequences of the given schemas that the current user may not read, or may not set.
SELECT format('%%I.%%I', s.schemaname, s.sequencename),
       has_sequence_privilege(q.oid, 'SELECT'),
       has_sequence_privilege(q.oid, 'UPDATE')
FROM pg_sequences AS s
CROSS JOIN LATERAL (
    SELECT c.oid
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = s.schemaname AND c.relname = s.sequencename
) AS q
WHERE s.schemaname = ANY (%(schemas)s::name[])
