-- Whoever comes second finds no row.
DELETE FROM auth.one_time_tokens USING auth.users
WHERE one_time_tokens.token_hash = %(hash)s AND users.id = one_time_tokens.user_id
    AND one_time_tokens.created_at > (now() AT TIME ZONE 'UTC') - interval '1 hour'
    AND users.deleted_at IS NULL
RETURNING users.id::text, {user}
