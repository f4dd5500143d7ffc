-- What is null stays as it is.
UPDATE auth.users
SET email = coalesce(%(email)s::text, email),
    encrypted_password = coalesce(%(password)s::text, encrypted_password),
    email_confirmed_at = CASE WHEN %(confirmed)s THEN coalesce(email_confirmed_at, now())
        ELSE email_confirmed_at END,
    raw_app_meta_data = raw_app_meta_data || coalesce(%(app_data)s::jsonb, '{{}}'),
    raw_user_meta_data = raw_user_meta_data || coalesce(%(data)s::jsonb, '{{}}'),
    updated_at = now()
WHERE id = %(user_id)s::uuid
RETURNING {user}
