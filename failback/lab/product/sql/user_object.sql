to_jsonb(users) || jsonb_build_object('identities', coalesce((
    SELECT jsonb_agg(to_jsonb(identities) ORDER BY identities.created_at)
    FROM auth.identities WHERE identities.user_id = users.id), '[]'::jsonb),
    'factors', coalesce((
    SELECT jsonb_agg(to_jsonb(mfa_factors) ORDER BY mfa_factors.created_at)
    FROM auth.mfa_factors WHERE mfa_factors.user_id = users.id), '[]'::jsonb))
