UPDATE auth.refresh_tokens SET revoked = true, updated_at = now()
WHERE session_id = %(session_id)s::uuid AND NOT revoked
