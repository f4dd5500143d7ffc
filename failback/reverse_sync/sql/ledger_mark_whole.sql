-- Any row of these tables may have been changed.
WITH marked AS (
    UPDATE failback.ledger_table SET marks = marks + 1
    WHERE stream = %(stream)s AND name = ANY (%(names)s)
)
UPDATE failback.ledger SET marks = marks + 1
WHERE stream = %(stream)s AND name = ANY (%(names)s)
