"""Generated histories: what sessions, the engine and the fence do, one step after the other.

A step names what it acts on by small numbers, which are taken modulo of what there is, so that
every list of steps is a history and hypothesis can leave out any of them.
"""

from dataclasses import dataclass

from hypothesis import strategies as st

_small = st.integers(0, 11)


@dataclass(frozen=True)
class Write:
    """A statement of one session that changes rows."""

    session: int
    action: str
    """`insert`, `update`, `delete`, `move` (to another key), `update all`, `delete all`,
    `insert some`, `swap` (the values of two rows), `truncate`."""
    table: int
    key: int
    value: int
    alone: bool = False
    """Where no transaction is open: it is one of its own, and opens none."""
    guarded: bool = False
    """Under a savepoint, so that its failure does not end the transaction."""


@dataclass(frozen=True)
class End:
    """A session's transaction goes on or ends in some way."""

    session: int
    action: str
    """`commit`, `rollback`, `savepoint`, `rollback to`, `release`, `prepare`."""


@dataclass(frozen=True)
class Finish:
    """The oldest prepared transaction ends."""

    commit: bool


@dataclass(frozen=True)
class Engine:
    """Something is asked of the engine."""

    action: str
    """`batch`, `drain`, `status`, `verify`, `restart`, `fence`, `lift`."""


Step = Write | End | Finish | Engine

_actions = st.sampled_from(
    ["insert"] * 4
    + ["insert some"] * 2
    + ["update"] * 3
    + ["delete"] * 2
    + ["move"] * 3
    + ["update all", "delete all", "swap", "truncate"]
)
_writes = st.builds(
    Write,
    session=st.integers(0, 3),
    action=_actions,
    table=st.integers(0, 3),
    key=_small,
    value=st.integers(0, 41),
    alone=st.booleans(),
    guarded=st.booleans(),
)
_ends = st.builds(
    End,
    session=st.integers(0, 3),
    action=st.sampled_from(
        ["commit"] * 5 + ["rollback", "savepoint", "savepoint", "rollback to", "release", "prepare"]
    ),
)
_engines = st.builds(
    Engine,
    action=st.sampled_from(
        ["batch"] * 6 + ["drain"] * 2 + ["status", "verify", "restart", "fence", "lift", "lift"]
    ),
)
_finishes = st.builds(Finish, commit=st.booleans())


@dataclass(frozen=True)
class History:
    """Steps, how many changes the engine takes at once, and which ways they go."""

    limit: int
    steps: tuple[Step, ...]
    large: bool = False
    packed: bool = False
    """Where it is, like changes are told together instead of equal ones being counted."""
    """Every batch is netted by the server and carried by several hands."""


# One that is named twice would be taken once: each is drawn by its weight instead.
_steps = st.sampled_from([_writes] * 9 + [_ends] * 3 + [_engines] * 3 + [_finishes]).flatmap(
    lambda chosen: chosen
)

histories = st.builds(
    History,
    limit=st.sampled_from([200_000, 1, 2, 3, 7, 20]),
    large=st.booleans(),
    packed=st.booleans(),
    # Lists of lists, because hypothesis makes long lists seldom, and shortens these as well.
    steps=st.lists(st.lists(_steps, min_size=1, max_size=12), min_size=1, max_size=12).map(
        lambda parts: tuple(step for part in parts for step in part)
    ),
)
"""Any history."""
