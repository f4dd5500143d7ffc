-- Tables of which no change can be captured, with why: they are compared by checksum for ever.
UPDATE failback.stream_table
SET uncaptured = CASE WHEN name = ANY (%(names)s::text[]) THEN %(why)s ELSE '' END
WHERE stream = %(stream)s
