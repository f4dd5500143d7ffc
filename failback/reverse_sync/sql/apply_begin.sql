-- Foreign keys and the product's triggers stay quiet, and the fence lets the applier pass.
SET LOCAL session_replication_role = replica;
SET LOCAL lock_timeout = '30s';
