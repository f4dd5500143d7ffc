-- Nothing where a b-tree is sound and every row of its table is in it; else an error.
SELECT bt_index_check(%(oid)s::oid::regclass, true)::text
