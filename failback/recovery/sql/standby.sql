-- What the standby is and allows us.
SELECT pg_is_in_recovery(),
       current_setting('transaction_read_only') = 'on',
       current_setting('server_version_num')::integer / 10000,
       r.rolsuper OR r.rolcreatedb,
       r.rolsuper OR r.rolcreaterole
FROM pg_roles AS r
WHERE r.rolname = current_user
