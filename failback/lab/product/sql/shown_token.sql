-- The refresh token that was shown, and the one that its session would have to show.
SELECT shown.revoked, shown.updated_at + %(reuse_seconds)s * interval '1 second' < now() AS late,
    active.token, active.parent, coalesce(sessions.not_after <= now(), false) AS expired,
    coalesce(users.banned_until > now(), false) AS banned, {user}
FROM auth.refresh_tokens AS shown
JOIN auth.sessions ON sessions.id = shown.session_id
JOIN auth.users ON users.id = shown.user_id
LEFT JOIN LATERAL (
    SELECT token, parent FROM auth.refresh_tokens
    WHERE refresh_tokens.session_id = shown.session_id AND NOT revoked
    ORDER BY id DESC LIMIT 1
) AS active ON true
WHERE shown.token = %(shown)s AND users.deleted_at IS NULL
