SELECT l.name, l.chunk, l.marks
FROM unnest(%(names)s::text[], %(marks)s::bigint[]) AS since (name, marks)
JOIN failback.ledger AS l ON l.name = since.name AND l.marks > since.marks
WHERE l.stream = %(stream)s
