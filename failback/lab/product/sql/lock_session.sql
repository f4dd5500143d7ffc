-- Whoever shows a refresh token waits here for whoever shows another one of the same session.
SELECT sessions.id::text
FROM auth.refresh_tokens AS shown JOIN auth.sessions ON sessions.id = shown.session_id
WHERE shown.token = %(shown)s
FOR NO KEY UPDATE OF sessions
