-- GoTrue keeps one token of a kind for a user: a new link makes the old one worthless.
INSERT INTO auth.one_time_tokens
    (user_id, token_type, token_hash, relates_to, created_at, updated_at)
SELECT id, 'recovery_token', %(hash)s, email, now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC'
FROM auth.users
WHERE lower(email) = lower(%(email)s) AND deleted_at IS NULL
ON CONFLICT (user_id, token_type) DO UPDATE
SET token_hash = excluded.token_hash, created_at = excluded.created_at,
    updated_at = excluded.updated_at
RETURNING (SELECT {user} FROM auth.users WHERE users.id = one_time_tokens.user_id)
