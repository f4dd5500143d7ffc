"""Messages of pgoutput, built by hand after the protocol's description."""

import struct

NOTE, PAIR = 100, 200
MICROSECONDS = 86_400_000_000


def begin(start: int, xid: int = 7, at: int = MICROSECONDS) -> bytes:
    return b"B" + struct.pack("!QqI", start, at, xid)


def commit(start: int, end: int) -> bytes:
    return b"C\0" + struct.pack("!QQq", start, end, MICROSECONDS)


def relation(oid: int, name: str, *columns: str) -> bytes:
    described = b"".join(b"\1" + c.encode() + b"\0" + struct.pack("!Ii", 23, -1) for c in columns)
    head = b"R" + struct.pack("!I", oid) + b"public\0" + name.encode() + b"\0d"
    return head + struct.pack("!H", len(columns)) + described


def value(given: bytes | str | None, kind: bytes = b"b") -> bytes:
    if given is None:
        return b"n"
    if isinstance(given, str):
        return b"u"
    return kind + struct.pack("!I", len(given)) + given


def row(*values: bytes | str | None, kind: bytes = b"b") -> bytes:
    return struct.pack("!H", len(values)) + b"".join(value(each, kind) for each in values)


def insert(oid: int, *values: bytes) -> bytes:
    return b"I" + struct.pack("!I", oid) + b"N" + row(*values)


def update(oid: int, new: bytes, old: bytes = b"") -> bytes:
    return b"U" + struct.pack("!I", oid) + old + b"N" + new


def delete(oid: int, old: bytes, kind: bytes = b"K") -> bytes:
    return b"D" + struct.pack("!I", oid) + kind + old


def truncate(*oids: int) -> bytes:
    return b"T" + struct.pack(f"!IB{len(oids)}I", len(oids), 0, *oids)


def message(prefix: str, transactional: bool = True) -> bytes:
    head = b"M" + struct.pack("!BQ", transactional, 5) + prefix.encode() + b"\0"
    return head + struct.pack("!I", 2) + b"hi"
