SET LOCAL enable_hashjoin = on;
SET LOCAL enable_mergejoin = on;
