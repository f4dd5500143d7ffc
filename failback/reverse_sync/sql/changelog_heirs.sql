-- Tables that inherit from one, at any depth: a statement on the parent changes their rows too,
-- and fires the parent's triggers alone. Not partitions: their keys are the root's.
WITH RECURSIVE heir AS (
    SELECT i.inhrelid AS oid FROM pg_inherits AS i
    JOIN pg_class AS c ON c.oid = i.inhparent
    WHERE i.inhparent = %(table)s::oid AND c.relkind = 'r'
    UNION
    SELECT i.inhrelid FROM pg_inherits AS i JOIN heir AS h ON i.inhparent = h.oid
)
SELECT oid::bigint FROM heir ORDER BY 1
