-- Some chunks of a table as the ledger has them.
SELECT chunk, marks, rows, first, second
FROM failback.ledger
WHERE stream = %(stream)s AND name = %(name)s AND chunk = ANY (%(chunks)s)
  AND verified_marks = marks
