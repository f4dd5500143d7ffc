-- Users of single sign-on may share an address with others.
SELECT encode(sha256(convert_to(lower(email), 'UTF8')), 'hex') COLLATE "C" AS digest, id::text
FROM auth.users
WHERE deleted_at IS NULL AND email <> '' AND NOT is_sso_user
ORDER BY digest
