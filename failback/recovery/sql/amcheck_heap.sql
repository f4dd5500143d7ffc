-- What amcheck says of one table's pages.
SELECT format('block %%s: %%s', blkno, msg)
FROM verify_heapam(%(oid)s::oid::regclass, on_error_stop => true)
LIMIT 1
