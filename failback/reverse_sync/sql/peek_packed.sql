-- What peek_netted.sql tells, of a stretch that memory has room for: short changes of one kind and
-- one length come as the rest of their messages, one behind the other, those that are equal too.
-- A change tells its relation in the first six bytes.
COPY (
    SELECT count(*), head, string_agg(rest, '')
    FROM (
        SELECT
            length(data) AS size,
            place >> 16 AS part,
            CASE WHEN short THEN substr(data, 1, 6) ELSE data END AS head,
            CASE WHEN short THEN substr(data, 7) END AS rest
        FROM (
            SELECT data, place, length(data) <= 64 AND get_byte(data, 0) IN (68, 73, 85) AS short
            FROM pg_logical_slot_peek_binary_changes(
                {slot}, {upto}, {limit},
                'proto_version', '1',
                'publication_names', {publication},
                'binary', {binary},
                'messages', 'true') WITH ORDINALITY AS told (lsn, xid, data, place)
        ) AS messages
    ) AS changes
    GROUP BY head, size, CASE WHEN rest IS NOT NULL THEN part END
    ORDER BY get_byte(head, 0) IN (68, 73, 85)
) TO STDOUT (FORMAT binary)
