-- The rows that a business rule finds, with how many there are. The rule stands on lines of its
-- own, so that a comment at its end hides nothing.
SELECT count(*) OVER () AS violations, found_row::text AS example
FROM (
{rule}
) AS found_row
LIMIT 5
