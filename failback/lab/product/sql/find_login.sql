SELECT id::text, encrypted_password, {user}, coalesce(banned_until > now(), false)
FROM auth.users
WHERE lower(email) = lower(%(email)s) AND deleted_at IS NULL
