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
), new_session AS (
    INSERT INTO auth.sessions (id, user_id, user_agent)
    SELECT %(session_id)s::uuid, id, %(user_agent)s FROM new_user
), new_token AS (
    INSERT INTO auth.refresh_tokens (token, user_id, session_id)
    SELECT %(token)s, id, %(session_id)s::uuid FROM new_user
)
SELECT json_build_object(
    'id', id, 'aud', aud, 'role', role, 'email', email,
    'email_confirmed_at', email_confirmed_at, 'last_sign_in_at', last_sign_in_at,
    'app_metadata', raw_app_meta_data, 'user_metadata', raw_user_meta_data,
    'created_at', created_at, 'updated_at', updated_at)
FROM new_user
