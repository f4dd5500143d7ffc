-- As text an id sorts as its bytes do. Of what is personal or secret only digests leave the server.
SELECT id::text,
    encode(sha256(convert_to(coalesce(lower(email), ''), 'UTF8')), 'hex'),
    encode(sha256(convert_to(coalesce(encrypted_password, ''), 'UTF8')), 'hex')
FROM auth.users
WHERE deleted_at IS NULL
ORDER BY id
