-- A user with identity, session and refresh token, in one statement: all of it or none.
WITH new_user AS (
    INSERT INTO auth.users (id, email, encrypted_password, email_confirmed_at, last_sign_in_at,
                            raw_app_meta_data, raw_user_meta_data)
    VALUES (%(user_id)s::uuid, %(email)s, %(password)s, now(), now(),
            '{"provider": "email", "providers": ["email"]}', %(data)s::jsonb)
    RETURNING *
), new_identity AS (
    INSERT INTO auth.identities (user_id, provider, provider_id, identity_data, last_sign_in_at)
    SELECT id, 'email', id::text, jsonb_build_object('sub', id, 'email', email), now()
    FROM new_user
    RETURNING *
), new_session AS (
    INSERT INTO auth.sessions (id, user_id, user_agent)
    SELECT %(session_id)s::uuid, id, %(user_agent)s FROM new_user
), new_token AS (
    INSERT INTO auth.refresh_tokens (token, user_id, session_id)
    SELECT %(token)s, id, %(session_id)s::uuid FROM new_user
), audited AS (
    INSERT INTO auth.audit_log_entries (payload)
    SELECT json_build_object('action', 'user_signedup', 'actor_id', id, 'actor_username', email,
        'log_type', 'team', 'timestamp', now())
    FROM new_user
)
SELECT to_jsonb(new_user) || jsonb_build_object('identities', jsonb_build_array(
    to_jsonb(new_identity)))
FROM new_user, new_identity
