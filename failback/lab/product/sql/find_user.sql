SELECT {user} FROM auth.users WHERE id = %(user_id)s::uuid
