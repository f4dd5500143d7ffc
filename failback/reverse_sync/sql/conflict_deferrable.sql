-- The columns of each unique constraint that is checked later than its statement. ON CONFLICT
-- takes none of them, and session_replication_role = replica leaves their checks out.
SELECT ARRAY(
    SELECT a.attname::text
    FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
    JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE k.place <= i.indnkeyatts
    ORDER BY k.place
)
FROM pg_index AS i
WHERE i.indrelid = {oid}::oid AND i.indisunique AND NOT i.indimmediate
