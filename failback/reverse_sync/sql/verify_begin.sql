BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
{snapshot}
SET LOCAL lc_monetary = 'C';
-- Compiling takes longer than it saves at our chunk sizes.
SET LOCAL jit = off;
