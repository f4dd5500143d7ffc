-- Foreign keys and the product's triggers stay quiet, as where rows are carried over.
SET LOCAL session_replication_role = replica;
SET LOCAL lock_timeout = '30s';
