"""What tests of arming start from, and what both databases hold besides rows."""

from collections.abc import Callable
from typing import Any

from failback.models.common import Side
from failback.reverse_sync.engine import ReverseSync

Armed = Callable[..., ReverseSync]

NOTE = "CREATE TABLE note (id serial PRIMARY KEY, body text)"

OBJECTS = """
SELECT 'schema', nspname, nspacl::text FROM pg_namespace WHERE nspname !~ '^pg_(temp|toast_temp)'
UNION ALL SELECT 'relation', oid::regclass::text, relkind::text || relreplident::text
    FROM pg_class WHERE relnamespace::regnamespace::text !~ '^pg_'
UNION ALL SELECT 'trigger', tgname, tgrelid::regclass::text || tgenabled::text FROM pg_trigger
UNION ALL SELECT 'function', oid::regprocedure::text, '' FROM pg_proc
    WHERE pronamespace::regnamespace::text !~ '^pg_catalog|information_schema'
UNION ALL SELECT 'publication', pubname, '' FROM pg_publication
UNION ALL SELECT 'slot', slot_name, plugin FROM pg_replication_slots
    WHERE database = current_database()
ORDER BY 1, 2, 3
"""


def objects(pair: Any) -> dict[Side, list[tuple[Any, ...]]]:
    """What both databases hold besides rows."""
    return {side: pair.rows(side, OBJECTS) for side in Side}
