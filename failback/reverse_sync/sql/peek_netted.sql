-- The server counts equal messages, so that a row that changed twenty times is told once. What is
-- no change of a row comes first: changes are told in any order, and need their relations.
COPY (
    WITH told AS MATERIALIZED (
        SELECT data, count(*) AS times
        FROM pg_logical_slot_peek_binary_changes(
            {slot}, {upto}, {limit},
            'proto_version', '1',
            'publication_names', {publication},
            'binary', {binary},
            'messages', 'true')
        GROUP BY data
    )
    SELECT times, data, NULL::bytea FROM told WHERE get_byte(data, 0) NOT IN (68, 73, 85)
    UNION ALL
    SELECT times, data, NULL FROM told WHERE get_byte(data, 0) IN (68, 73, 85)
) TO STDOUT (FORMAT binary)
