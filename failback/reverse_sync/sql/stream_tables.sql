-- Makes the armed tables exactly these. A table that was to be copied whole still is.
WITH gone AS (
    DELETE FROM failback.stream_table
    WHERE stream = %(stream)s AND name <> ALL (%(names)s::text[])
)
INSERT INTO failback.stream_table (stream, name, copy_whole)
SELECT %(stream)s, name, name = ANY (%(whole)s::text[])
FROM unnest(%(names)s::text[]) AS name
ON CONFLICT (stream, name) DO UPDATE
SET copy_whole = stream_table.copy_whole OR excluded.copy_whole
