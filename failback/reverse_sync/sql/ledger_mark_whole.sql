-- Any row of these tables may have been changed.
WITH marked AS (
    UPDATE failback.ledger_table SET marks = marks + 1
    WHERE stream = %(stream)s AND name = ANY (%(names)s)
    RETURNING name, marks
)
UPDATE failback.ledger AS l SET marks = m.marks
FROM marked AS m
WHERE l.stream = %(stream)s AND l.name = m.name
