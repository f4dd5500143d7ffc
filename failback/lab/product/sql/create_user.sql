-- A user with its identity, in one statement: both or none.
WITH new_user AS (
    INSERT INTO auth.users (id, email, encrypted_password, email_confirmed_at,
                            raw_app_meta_data, raw_user_meta_data)
    VALUES (%(user_id)s::uuid, %(email)s, %(password)s,
            CASE WHEN %(confirmed)s THEN now() END,
            jsonb_build_object('provider', 'email', 'providers', jsonb_build_array('email'))
                || %(app_data)s::jsonb,
            %(data)s::jsonb)
    RETURNING *
), new_identity AS (
    INSERT INTO auth.identities (user_id, provider, provider_id, identity_data)
    SELECT id, 'email', id::text, jsonb_build_object('sub', id, 'email', email) FROM new_user
    RETURNING *
), audited AS (
    INSERT INTO auth.audit_log_entries (payload)
    SELECT json_build_object('action', 'user_signedup', 'actor_username', 'service_role',
        'log_type', 'team', 'traits', json_build_object('user_id', id), 'timestamp', now())
    FROM new_user
)
SELECT to_jsonb(new_user) || jsonb_build_object('identities', jsonb_build_array(
    to_jsonb(new_identity)))
FROM new_user, new_identity
