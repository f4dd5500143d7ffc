"""What digests are made of, without a server."""

from dataclasses import replace

import pytest

from failback.models.common import Side
from failback.reverse_sync.catalogue import Column, Table
from failback.reverse_sync.differences import Difference, differing
from failback.reverse_sync.digests import Digest, Range, compared
from failback.reverse_sync.row_image import Form, exact, image

_INT = Column(
    name="id",
    type_name="bigint",
    type_oid=20,
    type_kind="b",
    base_type="pg_catalog.int8",
    base_kind="b",
    labels=(),
    not_null=True,
    generated=False,
    identity=False,
    has_default=False,
    is_array=False,
)


def _column(name: str, type_name: str, base_type: str, **other: object) -> Column:
    return replace(_INT, name=name, type_name=type_name, base_type=base_type, **other)


def _table(*columns: Column, key: tuple[str, ...] = ("id",)) -> Table:
    return Table(
        oid=1,
        schema="public",
        name="t",
        columns=columns,
        key=key,
        key_source="primary key",
        key_index="t_pkey",
        replica_identity="d",
        kind="r",
        partitions=(),
        owner="owner",
        owned=True,
        unlogged=False,
        has_foreign_key=False,
        unique_keys=(frozenset(key),),
    )


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (_column("c", "bigint", "pg_catalog.int8"), '"c"'),
        (_column("c", "numeric(8,2)", "pg_catalog.numeric"), '"c"'),
        (_column("c", "public.mood", "public.mood", base_kind="e"), '"c"::text'),
        (
            _column("c", "public.mood[]", "public.mood", base_kind="e", is_array=True),
            '"c"::text',
        ),
        (_column("c", "integer[]", "pg_catalog.int4", is_array=True), '"c"'),
        (_column("c", "public.posint[]", "pg_catalog.int4", is_array=True), '"c"::text'),
        (_column("c", "public.posint", "pg_catalog.int4", type_kind="d"), '"c"::pg_catalog."int4"'),
        (
            _column("c", "public.ints", "pg_catalog.int4", type_kind="d", is_array=True),
            '"c"::text',
        ),
        (_column("c", "double precision[]", "pg_catalog.float8", is_array=True), '"c"::text'),
        (_column("c", "point", "pg_catalog.point"), '"c"::text'),
        (_column("c", "public.pair", "public.pair", base_kind="c"), '"c"::text'),
    ],
)
def test_expression_when_a_value_carries_identifiers_is_its_text(
    column: Column, expected: str
) -> None:
    assert exact(column, column, Form.BINARY).expression.as_string() == expected
    assert exact(column, column, Form.TEXT).expression.as_string() == '"c"::text'


def test_expression_when_the_sides_have_other_types_is_text() -> None:
    small = _column("id", "integer", "pg_catalog.int4")
    assert exact(_INT, small, Form.BINARY).expression.as_string() == '"id"::text'
    assert exact(_INT, _INT, Form.BINARY).expression.as_string() == '"id"'


def test_comparison_when_columns_stand_in_another_order_follows_the_target_by_name() -> None:
    text = _column("w", "text", "pg_catalog.text")
    made = _column("g", "text", "pg_catalog.text", generated=True)
    comparison, problems = compared(_table(text, _INT, made), _table(_INT, made, text), Form.BINARY)
    assert problems == ()
    assert [value.expression.as_string() for value in comparison.values] == ['"id"', '"w"']


def test_comparison_when_text_keys_do_not_sort_by_bytes_is_not_parted() -> None:
    key = _column("k", "text", "pg_catalog.text")
    table = _table(key, key=("k",))
    assert not compared(table, table, Form.BINARY)[0].ordered
    assert compared(table, table, Form.BINARY, {1: frozenset("k")})[0].ordered


def test_chunk_when_values_look_like_sql_quotes_them() -> None:
    odd = _column('a"b', "bigint", "pg_catalog.int8")
    table = _table(odd, key=('a"b',))
    comparison, _ = compared(table, table, Form.BINARY)
    query = comparison.chunk(Range(("1'; DROP",), None), 1).as_string()
    assert '"a""b"' in query
    assert "'1''; DROP'::bigint" in query


def test_digest_when_rows_are_added_and_taken_out_does_not_depend_on_their_order() -> None:
    one, two = Digest(1, -5, 7), Digest(1, 1 << 63, -(1 << 63))
    assert str(one + two) == str(two + one)
    assert (one + two).without((-5, 7)) == two
    assert len(str(Digest(3, -1, 1 << 70))) == 32


def test_differing_rows_are_told_by_kind() -> None:
    found = list(
        differing(
            {
                Side.SOURCE: [(["1"], 1, 1), (["2"], 2, 2), (["3"], 3, 3)],
                Side.TARGET: [(["1"], 1, 1), (["2"], 2, 9), (["4"], 4, 4)],
            }
        )
    )
    assert [(each.key, each.kind) for each in found] == [
        (("2",), "different"),
        (("3",), "extra"),
        (("4",), "missing"),
    ]
    assert found[0] == Difference(("2",), (2, 2), (2, 9))


@pytest.mark.parametrize(
    ("column", "fields"),
    [
        (_INT, '"id", ("id" >> 32)'),
        (_column("c", "integer", "pg_catalog.int4"), '"c"'),
        (_column("c", "text", "pg_catalog.text"), '"c" COLLATE "C"'),
        (_column("c", "public.mood", "public.mood", base_kind="e"), '"c"::text COLLATE "C"'),
        (_column("c", "numeric(8,2)", "pg_catalog.numeric"), 'numeric_send("c")'),
        (_column("c", "integer[]", "pg_catalog.int4", is_array=True), 'array_send("c")'),
        (_column("c", "d", "pg_catalog.tstzrange", type_kind="d"), "range_send("),
    ],
)
def test_field_when_a_hash_would_not_read_all_of_it_is_hashed_in_binary_form(
    column: Column, fields: str
) -> None:
    written = image([exact(column, column, Form.BINARY)]).as_string()
    assert written.startswith(f"ROW({fields}")


@pytest.mark.parametrize("count", [800, 801, 1600])
def test_image_when_a_table_has_as_many_columns_as_a_table_may_have_fits_a_row_expression(
    count: int,
) -> None:
    columns = [replace(_INT, name=f"c{n}") for n in range(count)]
    written = image([exact(each, each, Form.BINARY) for each in columns])
    (fields,) = (written.as_string().removeprefix("ROW(").removesuffix(")").split(", "),)
    assert len(fields) <= 1664
    assert fields[0] == ('"c0"' if count <= 800 else 'int8send("c0")')


_ID = _column("id", "integer", "pg_catalog.int4")
_LINE = _column("line", "smallint", "pg_catalog.int2")


@pytest.mark.parametrize(
    ("key", "form", "expected"),
    [
        ((_ID,), Form.BINARY, '(hashint8extended("id", 0) & 7::bigint)'),
        (
            (_ID, _LINE),
            Form.BINARY,
            '(hashint8extended("line", hashint8extended("id", 0)) & 7::bigint)',
        ),
        ((_column("id", "uuid", "pg_catalog.uuid"),), Form.BINARY, '(uuid_hash_extended("id", 0)'),
        (
            (_column("id", "text", "pg_catalog.text"),),
            Form.BINARY,
            '(hash_record_extended(ROW("id" COLLATE "C"), 0) & 7::bigint)',
        ),
        (
            (_ID, _column("n", "text", "pg_catalog.text")),
            Form.BINARY,
            'hash_record_extended(ROW("id", "n" COLLATE "C"), 0)',
        ),
        (
            (_column("id", "n", "pg_catalog.int4", type_kind="d"),),
            Form.BINARY,
            'hashint8extended("id"::pg_catalog."int4", 0)',
        ),
        (
            (_column("id", "integer[]", "pg_catalog.int4", is_array=True),),
            Form.BINARY,
            'hash_record_extended(ROW(array_send("id")), 0)',
        ),
        ((_ID,), Form.TEXT, "sha256"),
    ],
    ids=[
        "number",
        "numbers",
        "uuid",
        "text",
        "one of them text",
        "domain",
        "array",
        "another form",
    ],
)
def test_bucket_when_keys_have_a_cheap_number_then_no_image_of_them_is_made(
    key: tuple[Column, ...], form: Form, expected: str
) -> None:
    table = _table(*key, key=tuple(column.name for column in key))
    comparison, problems = compared(table, table, form)
    assert problems == ()
    (condition,) = [
        line
        for line in comparison.rows(Range(), 8, [1]).as_string().splitlines()
        if line.strip().startswith("WHERE")
    ]
    assert expected in condition
