-- Makes the armed tables exactly these. A table that was to be copied whole still is, and one
-- that is not proven stays so.
WITH gone AS (
    DELETE FROM failback.stream_table
    WHERE stream = %(stream)s AND name <> ALL (%(names)s::text[])
)
INSERT INTO failback.stream_table (stream, name, copy_whole, unproven)
SELECT %(stream)s,
       name,
       name = ANY (%(whole)s::text[]),
       CASE WHEN name = ANY (%(unproven)s::text[]) THEN %(why)s ELSE '' END
FROM unnest(%(names)s::text[]) AS name
ON CONFLICT (stream, name) DO UPDATE
SET copy_whole = stream_table.copy_whole OR excluded.copy_whole,
    unproven = coalesce(nullif(excluded.unproven, ''), stream_table.unproven)
