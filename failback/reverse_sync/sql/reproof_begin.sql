-- As in a verification: values as text do not depend on a locale, and compiling a query takes
-- longer than it saves.
SET LOCAL lc_monetary = 'C';
SET LOCAL jit = off;
