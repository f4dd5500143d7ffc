SELECT s.schemaname, s.sequencename, s.increment_by, s.min_value, s.max_value
FROM pg_sequences AS s
WHERE s.schemaname = ANY (%(schemas)s::name[])
ORDER BY 1, 2
