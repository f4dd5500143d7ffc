WITH refreshed AS (
    UPDATE auth.sessions SET refreshed_at = now(), updated_at = now()
    WHERE id = %(session_id)s::uuid
    RETURNING user_id
)
INSERT INTO auth.audit_log_entries (payload)
SELECT json_build_object('action', 'token_refreshed', 'actor_id', user_id, 'log_type', 'token',
    'timestamp', now())
FROM refreshed
