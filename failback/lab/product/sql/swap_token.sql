-- The next refresh token of a session. One that was revoked already keeps its time, so that
-- showing it again and again does not lengthen the interval in which that is allowed.
WITH shown AS (
    SELECT token, user_id, session_id FROM auth.refresh_tokens WHERE token = %(shown)s
), revoked AS (
    UPDATE auth.refresh_tokens SET revoked = true, updated_at = now()
    FROM shown WHERE refresh_tokens.token = shown.token AND NOT refresh_tokens.revoked
)
INSERT INTO auth.refresh_tokens (token, user_id, session_id, parent)
SELECT %(token)s, user_id, session_id, token FROM shown
