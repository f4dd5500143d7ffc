-- Tables whose storage was replaced since this transaction's snapshot was taken: to it they may
-- look empty. The function sees the present, the catalogue's row is as of the snapshot. A table
-- that was read in this transaction is locked, and cannot be replaced any more.
SELECT c.oid::regclass::text
FROM pg_class AS c
WHERE c.oid = ANY (%(tables)s::oid[])
  AND c.relkind = 'r'
  AND pg_relation_filenode(c.oid) IS DISTINCT FROM c.relfilenode
