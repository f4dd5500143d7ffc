-- No row: there is no such user. The session may be gone although the user is there.
SELECT sessions.id IS NOT NULL, {user}
FROM auth.users LEFT JOIN auth.sessions
    ON sessions.user_id = users.id AND sessions.id = %(session_id)s::uuid
WHERE users.id = %(user_id)s::uuid AND users.deleted_at IS NULL
