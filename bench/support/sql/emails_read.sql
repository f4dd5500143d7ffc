SELECT n, a.email FROM unnest(%(numbers)s::bigint[]) AS n
JOIN accounts AS a ON a.id = md5('account ' || n)::uuid
