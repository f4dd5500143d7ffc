-- `global` ends every session of the user, `others` all but the one that asks, `local` that one.
WITH ended AS (
    DELETE FROM auth.sessions
    WHERE user_id = %(user_id)s::uuid AND (%(scope)s = 'global'
        OR (%(scope)s = 'local') = (id = %(session_id)s::uuid))
    RETURNING id
)
INSERT INTO auth.audit_log_entries (payload)
SELECT json_build_object('action', 'logout', 'actor_id', %(user_id)s::text, 'log_type', 'account',
    'timestamp', now())
WHERE EXISTS (SELECT FROM ended)
