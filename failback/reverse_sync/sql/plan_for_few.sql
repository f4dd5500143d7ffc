SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
