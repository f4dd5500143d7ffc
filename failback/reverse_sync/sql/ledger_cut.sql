-- Part a table anew; nothing of it is known to be equal.
WITH gone AS (
    DELETE FROM failback.ledger WHERE stream = %(stream)s AND name = %(name)s
)
INSERT INTO failback.ledger_table AS t (stream, name, identity, bounds)
VALUES (%(stream)s, %(name)s, %(identity)s, %(bounds)s)
ON CONFLICT (stream, name) DO UPDATE
SET identity = excluded.identity, bounds = excluded.bounds, marks = t.marks + 1
