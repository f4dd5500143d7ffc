SELECT count(*) FROM auth.sessions WHERE not_after IS NULL OR not_after > now()
