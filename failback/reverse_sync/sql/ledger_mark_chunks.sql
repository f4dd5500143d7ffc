WITH marked AS (
    UPDATE failback.ledger_table SET marks = marks + 1
    WHERE stream = %(stream)s AND name = %(name)s
)
UPDATE failback.ledger SET marks = marks + 1
WHERE stream = %(stream)s AND name = %(name)s AND chunk = ANY (%(chunks)s)
