SELECT id::text, encrypted_password, json_build_object(
    'id', id, 'aud', aud, 'role', role, 'email', email,
    'email_confirmed_at', email_confirmed_at, 'last_sign_in_at', last_sign_in_at,
    'app_metadata', raw_app_meta_data, 'user_metadata', raw_user_meta_data,
    'created_at', created_at, 'updated_at', updated_at)
FROM auth.users
WHERE lower(email) = lower(%(email)s) AND deleted_at IS NULL
