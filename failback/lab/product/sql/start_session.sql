WITH signed_in AS (
    UPDATE auth.users SET last_sign_in_at = now(), updated_at = now()
    WHERE id = %(user_id)s::uuid
    RETURNING id, email
), new_session AS (
    INSERT INTO auth.sessions (id, user_id, user_agent)
    SELECT %(session_id)s::uuid, id, %(user_agent)s FROM signed_in
), audited AS (
    INSERT INTO auth.audit_log_entries (payload)
    SELECT json_build_object('action', 'login', 'actor_id', id, 'actor_username', email,
        'log_type', 'account', 'timestamp', now())
    FROM signed_in
)
INSERT INTO auth.refresh_tokens (token, user_id, session_id)
SELECT %(token)s, id, %(session_id)s::uuid FROM signed_in
RETURNING id
