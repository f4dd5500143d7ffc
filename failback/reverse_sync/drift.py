"""What two tables of the same name differ by, so that rows could be lost, changed or refused.

Changes when another difference between two schemas can be carried over, or has to stop a table.
"""

import re

from failback.models.common import Side
from failback.models.sync import TableProblem
from failback.reverse_sync.catalogue import Column, Table
from failback.reverse_sync.direction import Direction

# Receiver types that hold every value of the sender's type; such a table travels as text.
_WIDER = frozenset(
    {
        ("pg_catalog.int2", "pg_catalog.int4"),
        ("pg_catalog.int2", "pg_catalog.int8"),
        ("pg_catalog.int4", "pg_catalog.int8"),
        ("pg_catalog.varchar", "pg_catalog.text"),
        ("pg_catalog.text", "pg_catalog.varchar"),
    }
)
_MODIFIER = re.compile(r"\((\d+)\)")

_Found = tuple[str, str]
"""What is wrong, and what to run."""


def missing_table(table: Table, receiver: Side) -> TableProblem:
    """The problem of a table that one side lacks."""
    return TableProblem(
        table=table.qualified,
        problem=f"does not exist on the {receiver.value}",
        cure=f"Create {table.qualified} on the {receiver.value} as pg_dump --schema-only "
        f"--table={table.qualified} of the {receiver.other.value} writes it, or exclude it",
    )


def differences(sent: Table, received: Table, direction: Direction) -> list[TableProblem]:
    """What two tables of one name differ by, where rows could be lost, changed or refused.

    Left out on purpose: defaults, triggers, indexes that are not unique, the names of
    constraints, the order of columns, NOT NULL that only the sender has, and types of the
    receiver that hold every value of the sender's.
    """
    here, there = direction.receiver.value, direction.sender.value
    known = {column.name: column for column in received.columns}
    found = [
        _column(sent, column, known.pop(column.name, None), here, there) for column in sent.columns
    ]
    found += [
        (
            f"has the column {column.name} on the {here} alone, whose values would be lost",
            f"Add the column on the {there}, or drop it on the {here}",
        )
        for column in known.values()
        if not column.generated
    ]
    if not any(found):
        # Rules name columns: what they differ by follows from those.
        found += _rules(sent, received, here, there)
    if not any(found) and sent.key and frozenset(sent.key) not in received.unique_keys:
        columns = ", ".join(column.identifier.as_string() for column in sent.key_columns)
        found.append(
            (
                f"has no unique index over its key ({columns}) on the {here}",
                f"On the {here} run ALTER TABLE {sent.qualified} ADD PRIMARY KEY ({columns})",
            )
        )
    return [
        TableProblem(table=sent.qualified, problem=each[0], cure=each[1]) for each in found if each
    ]


def _column(
    table: Table, sent: Column, received: Column | None, here: str, there: str
) -> _Found | None:
    """What a column of the sender differs by from that of the receiver."""
    change = f"On the {here} run ALTER TABLE {table.qualified}"
    quoted = sent.identifier.as_string()
    if received is None:
        return (
            f"lacks the column {sent.name} on the {here}",
            f"{change} ADD COLUMN {quoted} {sent.type_name}",
        )
    if received.generated:
        return _generated(sent, received, here, there, f"{change} ALTER COLUMN {quoted}")
    if not _holds(sent, received):
        return (
            (
                f"has {sent.name} as {received.type_name} on the {here} and as "
                f"{sent.type_name} on the {there}"
            ),
            f"{change} ALTER COLUMN {quoted} TYPE {sent.type_name}",
        )
    if difference := _type(sent, received, here, there, f"{change} ALTER COLUMN {quoted}"):
        return difference
    if received.not_null and not sent.not_null:
        return (
            f"allows NULL in {sent.name} on the {there} and not on the {here}",
            f"{change} ALTER COLUMN {quoted} DROP NOT NULL",
        )
    return None


def _generated(sent: Column, received: Column, here: str, there: str, change: str) -> _Found | None:
    """A column that the receiver computes has to be computed alike by the sender."""
    if not sent.generated:
        return (
            f"computes {sent.name} on the {here}, where the {there} has values of its own",
            f"{change} DROP EXPRESSION",
        )
    if sent.expression != received.expression:
        return (
            (
                f"computes {sent.name} by {received.expression} on the {here} and by "
                f"{sent.expression} on the {there}"
            ),
            f"On the {here} drop the column {sent.name} and add it as the {there} has it",
        )
    return None


def _type(sent: Column, received: Column, here: str, there: str, change: str) -> _Found | None:
    """What two types of one name differ by: labels of an enum, parts, checks, what is equal."""
    if sent.deterministic and not received.deterministic:
        # Of two keys that are one here, a change of the first would take the second along.
        return (
            f"takes texts of {sent.name} for equal on the {here} that differ on the {there}",
            f"{change} TYPE {sent.type_name} with a COLLATE that is deterministic",
        )
    for side, ours, theirs in ((here, received, sent), (there, sent, received)):
        if missing := [label for label in theirs.labels if label not in ours.labels]:
            return (
                (
                    f"has values of {sent.name} that {ours.base_type} lacks on the {side}: "
                    f"{', '.join(missing)}"
                ),
                f"On the {side} run ALTER TYPE {ours.base_type} ADD VALUE '{missing[0]}'",
            )
    if sent.shape != received.shape:
        return (
            (
                f"has {sent.name} of a type that is ({'; '.join(received.shape)}) on the {here} "
                f"and ({'; '.join(sent.shape)}) on the {there}"
            ),
            f"On the {here} run ALTER TYPE or ALTER DOMAIN until {sent.type_name} is the same",
        )
    return None


def _rules(sent: Table, received: Table, here: str, there: str) -> list[_Found | None]:
    """Constraints and unique indexes that one side alone has.

    Where the receiver's types are wider, a condition may be written in another way there; what
    is unique is comparable all the same.
    """
    types = {column.name: column.type_name for column in received.columns}
    alike = all(column.type_name == types[column.name] for column in sent.columns)
    return [
        (
            f"has no {rule} on the {side}, as the other side has",
            f"On the {side} run {_statement(sent.qualified, rule)}, or drop it on the other side",
        )
        for side, ours, theirs in ((here, received, sent), (there, sent, received))
        for rule in theirs.rules
        if rule not in ours.rules and (alike or rule.startswith("UNIQUE"))
    ]


def _statement(table: str, rule: str) -> str:
    """What makes a rule."""
    if rule.startswith("UNIQUE"):
        return f"CREATE UNIQUE INDEX ON {table} {rule.removeprefix('UNIQUE ')}"
    return f"ALTER TABLE {table} ADD {rule}"


def _holds(sent: Column, received: Column) -> bool:
    """Whether every value of the sender's column fits the receiver's and stays the same."""
    if sent.type_name == received.type_name:
        return True
    if sent.is_array != received.is_array:
        return False
    same = sent.base_type == received.base_type
    if not same and (sent.base_type, received.base_type) not in _WIDER:
        return False
    allowed, given = _length(received), _length(sent)
    if allowed is None:
        return "(" not in received.type_name
    return given is not None and given <= allowed and received.base_type == "pg_catalog.varchar"


def _length(column: Column) -> int | None:
    """The one modifier of a type such as `character varying(40)`."""
    found = _MODIFIER.search(column.type_name)
    return int(found.group(1)) if found else None
