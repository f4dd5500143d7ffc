SELECT json_build_object(
    'id', users.id, 'aud', users.aud, 'role', users.role, 'email', users.email,
    'email_confirmed_at', users.email_confirmed_at, 'last_sign_in_at', users.last_sign_in_at,
    'app_metadata', users.raw_app_meta_data, 'user_metadata', users.raw_user_meta_data,
    'created_at', users.created_at, 'updated_at', users.updated_at)
FROM auth.sessions JOIN auth.users ON users.id = sessions.user_id
WHERE sessions.id = %(session_id)s::uuid AND users.id = %(user_id)s::uuid
    AND users.deleted_at IS NULL
