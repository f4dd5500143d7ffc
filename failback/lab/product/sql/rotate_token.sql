-- Revokes the token that was shown and issues the next one of its session. A token that is
-- unknown or revoked already gives no row.
WITH shown AS (
    UPDATE auth.refresh_tokens SET revoked = true, updated_at = now()
    WHERE token = %(shown)s AND NOT revoked
    RETURNING token, user_id, session_id
), refreshed AS (
    UPDATE auth.sessions SET refreshed_at = now(), updated_at = now()
    FROM shown WHERE sessions.id = shown.session_id
), issued AS (
    INSERT INTO auth.refresh_tokens (token, user_id, session_id, parent)
    SELECT %(token)s, user_id, session_id, token FROM shown
)
SELECT users.id::text, users.email, shown.session_id::text, json_build_object(
    'id', users.id, 'aud', users.aud, 'role', users.role, 'email', users.email,
    'email_confirmed_at', users.email_confirmed_at, 'last_sign_in_at', users.last_sign_in_at,
    'app_metadata', users.raw_app_meta_data, 'user_metadata', users.raw_user_meta_data,
    'created_at', users.created_at, 'updated_at', users.updated_at)
FROM shown JOIN auth.users ON users.id = shown.user_id
WHERE users.deleted_at IS NULL
