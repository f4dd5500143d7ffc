COPY (
    SELECT data
    FROM pg_logical_slot_peek_binary_changes(
        {slot}, {upto}, {limit},
        'proto_version', '1',
        'publication_names', {publication},
        'binary', {binary},
        'messages', 'true')
) TO STDOUT (FORMAT binary)
