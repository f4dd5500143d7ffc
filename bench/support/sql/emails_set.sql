UPDATE accounts AS t SET email = wanted.email, updated_at = clock_timestamp()
FROM unnest(%(numbers)s::bigint[], %(emails)s::text[]) AS wanted (n, email)
WHERE t.id = md5('account ' || wanted.n)::uuid
