"""How failback talks to Temporal: client, ids, and the rollbacks of an estate."""
