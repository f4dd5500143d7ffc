-- The chunks that some keys, given as texts, are in.
WITH marked AS (
    SELECT bounds FROM failback.ledger_table WHERE stream = {stream} AND name = {name}
)
SELECT DISTINCT coalesce({place}, 0)
FROM marked
CROSS JOIN (SELECT {casts} FROM unnest({arrays}) AS given ({given})) AS k ({columns})
