-- Sessions that hold an advisory lock of this database, or wait for it, in one mode. Of the pair
-- of numbers, each is kept as an unsigned one.
SELECT l.pid
FROM pg_locks AS l
WHERE l.locktype = 'advisory'
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid = %(space)s
  AND l.objid = %(number)s
  AND l.objsubid = 2
  AND l.mode = %(mode)s
  AND l.pid <> pg_backend_pid()
