"""The REST part: tables in PostgREST's manner, with rows of other users invisible."""

from typing import Any

from aiohttp import web
from psycopg import sql

from failback.lab.product.database import Database
from failback.lab.product.gate import Gate
from failback.lab.product.postgrest import (
    Table,
    Where,
    bounded,
    ordered,
    parameter,
    selected,
    where,
)
from failback.lab.product.problems import ProblemError
from failback.lab.product.tokens import Caller

DOCUMENTS = Table(
    "documents",
    "id",
    {
        "id": "uuid",
        "number": "bigint",
        "owner": "uuid",
        "title": "text",
        "body": "text",
        "metadata": "jsonb",
        "tags": "text[]",
        "price": "numeric",
        "status": "public.document_status",
        "created_at": "timestamptz",
        "updated_at": "timestamptz",
        "deleted_at": "timestamptz",
    },
    owner="owner",
    deleted="deleted_at",
)
LAB_WRITES = Table(
    "lab_writes", "key", {"key": "text", "value": "text", "written_at": "timestamptz"}
)
_TABLES = {table.name: table for table in (DOCUMENTS, LAB_WRITES)}
_SOFT = "soft"


class Rest:
    """Handlers under `/rest/v1/`."""

    def __init__(self, database: Database, gate: Gate) -> None:
        self._database = database
        self._gate = gate

    def routes(self) -> list[web.RouteDef]:
        """What the application serves of this part."""
        path = "/rest/v1/{table}"
        return [
            web.get("/rest/v1/", self.root),
            web.get(path, self.read),
            web.post(path, self.insert),
            web.patch(path, self.update),
            web.delete(path, self.delete),
        ]

    async def root(self, _request: web.Request) -> web.Response:
        """Says which tables there are; 503 when the database is away."""
        await self._database.row("SELECT 1")
        return web.json_response({"tables": sorted(_TABLES)})

    async def read(self, request: web.Request) -> web.Response:
        """`GET`, with `select`, filters, `order`, `limit` and `offset`."""
        table, caller = self._asked(request)
        condition = self._visible(table, caller, request)
        rows = sql.SQL("SELECT {} FROM {} WHERE {} {} LIMIT %s OFFSET %s").format(
            selected(table, request.query.get("select")),
            table.identifier,
            condition.text,
            ordered(table, request.query.get("order")),
        )
        limits = (
            bounded(request.query.get("limit")),
            bounded(request.query.get("offset"), usual=0),
        )
        return await self._answer(rows, (*condition.parameters, *limits), status=200, full=True)

    async def insert(self, request: web.Request) -> web.Response:
        """`POST` of a row or a list; `Prefer: resolution=merge-duplicates` makes it an upsert."""
        table, caller = self._asked(request)
        rows = [self._owned(table, caller, row) for row in await _rows(request)]
        names = sorted({name for row in rows for name in row})
        if any(set(row) != set(names) for row in rows) or not names:
            raise ProblemError(400, "PGRST102", "All object keys must match")
        one = sql.SQL("({})").format(sql.SQL(", ").join(table.value(name) for name in names))
        statement = sql.SQL("INSERT INTO {} ({}) VALUES {}{} RETURNING *").format(
            table.identifier,
            sql.SQL(", ").join(table.column(name) for name in names),
            sql.SQL(", ").join([one] * len(rows)),
            _on_conflict(table, names, request.headers.get("Prefer", "")),
        )
        values = tuple(parameter(table, name, row[name]) for row in rows for name in names)
        return await self._changed(table, request, statement, values, status=201)

    async def update(self, request: web.Request) -> web.Response:
        """`PATCH` of the rows that the filters name."""
        table, caller = self._asked(request)
        rows = await _rows(request)
        if len(rows) != 1 or not rows[0]:
            raise ProblemError(400, "PGRST102", "Send one object with the columns to change")
        change = rows[0]
        if table.owner in change:
            raise ProblemError(403, "42501", f"{table.owner} cannot be changed")
        condition = self._filtered(table, caller, request)
        statement = sql.SQL("UPDATE {} SET {} WHERE {} RETURNING *").format(
            table.identifier,
            sql.SQL(", ").join(
                sql.SQL("{} = {}").format(table.column(name), table.value(name)) for name in change
            ),
            condition.text,
        )
        values = tuple(parameter(table, name, value) for name, value in change.items())
        return await self._changed(
            table, request, statement, (*values, *condition.parameters), status=200
        )

    async def delete(self, request: web.Request) -> web.Response:
        """`DELETE` of the rows that the filters name; `Prefer: deletion=soft` only marks them."""
        table, caller = self._asked(request)
        condition = self._filtered(table, caller, request)
        soft = f"deletion={_SOFT}" in request.headers.get("Prefer", "")
        if soft and table.deleted:
            statement = sql.SQL("UPDATE {} SET {} = now() WHERE {} RETURNING *").format(
                table.identifier, table.column(table.deleted), condition.text
            )
        else:
            statement = sql.SQL("DELETE FROM {} WHERE {} RETURNING *").format(
                table.identifier, condition.text
            )
        return await self._changed(table, request, statement, condition.parameters, status=200)

    def _asked(self, request: web.Request) -> tuple[Table, Caller]:
        name = request.match_info["table"]
        if name not in _TABLES:
            raise ProblemError(404, "PGRST205", f"Could not find the table 'public.{name}'")
        caller = self._gate.caller(request)
        if caller.user_id is None and not caller.is_service:
            raise ProblemError(401, "no_authorization", f"{name} is for signed-in users")
        return _TABLES[name], caller

    def _visible(self, table: Table, caller: Caller, request: web.Request) -> Where:
        """The rows that the caller may see and the filters name."""
        condition = where(table, request.query.items())
        if table.owner and not caller.is_service:
            mine = sql.SQL("{} = %s::uuid").format(table.column(table.owner))
            condition = condition.and_also(mine, caller.user_id)
        if table.deleted and table.deleted not in request.query:
            live = sql.SQL("{} IS NULL").format(table.column(table.deleted))
            condition = condition.and_also(live)
        return condition

    def _filtered(self, table: Table, caller: Caller, request: web.Request) -> Where:
        """As `_visible`, and refused without a filter: nobody means a whole table."""
        if not where(table, request.query.items()).parameters:
            raise ProblemError(400, "21000", "A change needs a filter, such as id=eq.…")
        return self._visible(table, caller, request)

    def _owned(self, table: Table, caller: Caller, row: dict[str, Any]) -> dict[str, Any]:
        """The row with its owner from the token; somebody else's is refused."""
        if table.owner is None or caller.is_service:
            return row
        if row.get(table.owner, caller.user_id) != caller.user_id:
            raise ProblemError(
                403, "42501", f"new row violates row-level security policy for {table.name}"
            )
        return row | {table.owner: caller.user_id}

    async def _changed(
        self,
        table: Table,
        request: web.Request,
        statement: sql.Composed,
        parameters: tuple[Any, ...],
        *,
        status: int,
    ) -> web.Response:
        full = "return=representation" in request.headers.get("Prefer", "")
        if not full:
            status = 201 if status == 201 else 204  # noqa: PLR2004 - Created stays Created
        columns = selected(table, request.query.get("select"))
        rows = sql.SQL("SELECT {} FROM changed").format(columns)
        return await self._answer(rows, parameters, status=status, full=full, changing=statement)

    async def _answer(
        self,
        rows: sql.Composed,
        parameters: tuple[Any, ...],
        *,
        status: int,
        full: bool,
        changing: sql.Composed | None = None,
    ) -> web.Response:
        """Run a query and answer with its rows as Postgres writes them in JSON."""
        prefix: sql.Composable = sql.SQL("")
        if changing is not None:
            prefix = sql.SQL("WITH changed AS ({}) ").format(changing)
        statement = sql.SQL(
            "{}SELECT coalesce(json_agg(answer), '[]')::text FROM ({}) AS answer"
        ).format(prefix, rows)
        found = await self._database.row(statement, parameters)
        if not full:
            return web.Response(status=status)
        text = found[0] if found else "[]"
        return web.Response(status=status, text=text, content_type="application/json")


async def _rows(request: web.Request) -> list[dict[str, Any]]:
    try:
        body = await request.json()
    except ValueError as error:
        raise ProblemError(400, "PGRST102", "Empty or invalid json") from error
    rows = body if isinstance(body, list) else [body]
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise ProblemError(400, "PGRST102", "Send an object or a list of objects")
    return rows


def _on_conflict(table: Table, names: list[str], prefer: str) -> sql.Composable:
    if "resolution=merge-duplicates" not in prefer:
        return sql.SQL("")
    if table.owner is not None:
        # An upsert could take over a row of somebody else.
        raise ProblemError(400, "PGRST100", f"{table.name} takes no upserts; use PATCH")
    # `written_at` says when the row was last written, so an upsert sets it anew.
    changes = [
        sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name))
        for name in table.columns
        if name in names or name == "written_at"
    ]
    return sql.SQL(" ON CONFLICT ({}) DO UPDATE SET {}").format(
        sql.Identifier(table.key), sql.SQL(", ").join(changes)
    )
