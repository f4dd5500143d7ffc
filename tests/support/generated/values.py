"""Types of generated columns, each with values that are likely to go wrong.

The domains are small on purpose: two transactions should often meet on one key or one unique
value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Kind:
    """A type as DDL names it, and literals of it as SQL text."""

    type_name: str
    literals: tuple[str, ...]

    def literal(self, number: int) -> str:
        """One of the values, as an SQL expression."""
        text = self.literals[number % len(self.literals)].replace("'", "''")
        return f"'{text}'::{self.type_name}"


KEYS: Mapping[str, Kind] = MappingProxyType(
    {
        "int": Kind("int", ("1", "2", "3", "-4", "0", "2147483647")),
        "bigint": Kind("bigint", ("1", "2", "3", "-9223372036854775808", "4", "5")),
        "uuid": Kind(
            "uuid", tuple(f"{number:08x}-0000-4000-8000-{number * 7:012x}" for number in range(6))
        ),
        "text": Kind("text", ("a", "b", "", "ä\t\\N\n", "A", "\\.")),
        "bytea": Kind("bytea", (r"\x", r"\x00", r"\xff00ff", r"\x61", r"\x5c4e", r"\x0a0d")),
        "timestamptz": Kind(
            "timestamptz",
            (
                "2024-03-31 02:30:00+02",
                "2024-03-31 02:30:00.000001+02",
                "infinity",
                "-infinity",
                "0044-03-15 12:00:00 BC",
                "2000-01-01 00:00:00+00",
            ),
        ),
        # 1, 1.0 and 1.00 are one key in three forms.
        "numeric": Kind("numeric", ("1", "1.0", "1.00", "NaN", "-12345678901234567890.5", "0")),
        # -0 and 0 are one key in two forms.
        "float8": Kind("float8", ("0", "-0", "NaN", "Infinity", "1e-300", "0.1")),
        # So are a day and 24 hours.
        "interval": Kind(
            "interval", ("1 day", "24 hours", "1 mon", "30 days", "-1 year", "00:00:00.5")
        ),
        "date": Kind("date", ("2024-02-29", "infinity", "-infinity", "0001-01-01", "1999-12-31")),
        "inet": Kind("inet", ("10.0.0.1", "10.0.0.1/8", "::1", "192.168.0.0/16", "fe80::1/64")),
        "mood": Kind("mood", ("low", "high", 'It\'s odd, "quoted"', "middle")),
        "int[]": Kind("int[]", ("{}", "{1}", "{NULL}", "{{1,2},{3,4}}", "[2:3]={1,2}")),
        "jsonb": Kind("jsonb", ('{"a": 1}', '{"a": 1.0}', "null", "[]", '"x"', "[1, [2]]")),
        "char(3)": Kind("char(3)", ("a", "a ", "abc", "", "b")),
        "boolean": Kind("boolean", ("t", "f")),
        "varchar(5)": Kind("varchar(5)", ("", "a ", "abcde", "ü€𝄞")),
        "range": Kind("tstzrange", ("empty", "(,)", "[2024-01-01,2024-02-01)", "(,infinity]")),
        "pair": Kind("pair", ("(1,x)", "(,)", '(-1,"a ""b"", c")')),
        "small": Kind("small", ("1", "99")),
        "moods": Kind("mood[]", ("{}", "{low,NULL}", "{high,low}")),
    }
)
"""Types a key may have, by name."""

VALUES: Mapping[str, Kind] = MappingProxyType(
    {
        **KEYS,
        "json": Kind("json", ('{"b":1,  "a":2}', '{"a":1,"a":2}', "null", "[]")),
        "long text": Kind(
            "text", ("x" * 9000, "short", "ab" * 5000, "".join(map(str, range(4000))))
        ),
        "real": Kind("real", ("0", "-0", "NaN", "-Infinity", "3.4028235e38", "1e-45")),
        "bit varying": Kind("bit varying(9)", ("", "1", "010101010")),
        "time": Kind("timetz", ("24:00:00+14", "00:00:00-12", "12:34:56.789012+05:45")),
        "money": Kind("money", ("0", "-1.01", "92233720368547758.07")),
        "tsvector": Kind("tsvector", ("", "'a':1A 'b':2", "'it''s'")),
        "oid": Kind("oid", ("0", "1259", "4294967295")),
    }
)
"""Types any column may have, by name."""

TYPES = (
    "CREATE TYPE mood AS ENUM ('low', 'middle', 'high', 'It''s odd, \"quoted\"')",
    "CREATE TYPE pair AS (number int, word text)",
    "CREATE DOMAIN small AS int CHECK (VALUE < 100)",
)
"""What makes the types that are no built-in ones."""
