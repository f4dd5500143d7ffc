"""How the reverse sync grows: with changes, tables, rows, hands and workers."""
