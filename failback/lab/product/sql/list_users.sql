SELECT {user} FROM auth.users
ORDER BY created_at DESC, id
LIMIT %(per_page)s OFFSET %(skip)s
