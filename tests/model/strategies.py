"""Random requests that are well-formed and like to collide: few keys, few leases, numbers at the edges.

``operations()`` makes ``[operation, *arguments]``; put a sequence number before it and it is a request. They suit the
model, the bare state machine and a live server alike.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from oarlock.wire.operations import FROM_KEY, MAX_TTL_S, AlarmAction, Op, prefix_end

SHARED = b"long/" * 96  # 480 bytes: keys that begin with it share their stored form's first 478 bytes
KEYS = [
    b"a",
    b"a\0",
    b"a\0b",
    b"ab",
    b"abc",
    b"a\xff",
    b"b",
    b"\0",
    b"\0\0",
    b"\xff",
    b"\xff\xff",
    SHARED[:478],
    SHARED,
    SHARED + b"a",
    SHARED + b"\0" * 40,
    SHARED + b"b" * 1000,
]
LEASES = [1, 2, -7, (1 << 63) - 1, -(1 << 63)]
EDGES = [-(1 << 63), -2, -1, 0, 1, (1 << 63) - 1]

Operation = list[Any]

keys = st.sampled_from([*KEYS[:4] * 4, *KEYS])
values = st.sampled_from([b"", b"1", b"2", b"\0", b"\xff" * 3, b"v" * 300])
leases = st.sampled_from([0, 0, *LEASES])
# Weighted so that most requests succeed: zeros stand for "no bound", small numbers for revisions that were reached.
revisions = st.sampled_from([*[0] * 30, *range(1, 20), 40, *EDGES])
bounds = st.sampled_from([*[0] * 30, *range(2, 15)])
range_ends = st.one_of(
    st.sampled_from([b"", FROM_KEY, FROM_KEY, b"\xff"]),
    keys,
    keys.map(prefix_end),
)


@st.composite
def ranges(draw: st.DrawFn) -> Operation:
    """RANGE, from the plainest to every option at once."""
    if draw(st.booleans()):
        return [int(Op.RANGE), draw(keys)]
    return [
        int(Op.RANGE),
        draw(st.sampled_from([b"\0", b"\0", b"a", b"a", b"ab", *KEYS, b""])),
        draw(st.integers(0, 15)),
        draw(range_ends),
        draw(st.sampled_from([*[0] * 6, 1, 1, 2, 2, 3, 5, *EDGES])),
        draw(revisions),
        draw(st.sampled_from([*[0, 1, 2] * 6, 3])),
        draw(st.sampled_from([*[0, 1, 2, 3, 4] * 4, 5])),
        *(draw(bounds) for _ in range(4)),
    ]


@st.composite
def puts(draw: st.DrawFn) -> Operation:
    if draw(st.booleans()):
        return [int(Op.PUT), draw(keys), draw(values)]
    flags = draw(st.integers(0, 7))
    value = draw(st.one_of(st.just(b"") if flags & 2 else values, values))
    lease = draw(st.one_of(st.just(0) if flags & 4 else leases, leases))
    return [int(Op.PUT), draw(st.one_of(keys, keys, keys, st.just(b""))), value, lease, flags]


@st.composite
def deletes(draw: st.DrawFn) -> Operation:
    if draw(st.booleans()):
        return [int(Op.DELETE), draw(keys)]
    return [int(Op.DELETE), draw(st.one_of(keys, st.just(b"\0"))), draw(st.integers(0, 1)), draw(range_ends)]


@st.composite
def compares(draw: st.DrawFn) -> Operation:
    target = draw(st.integers(0, 4))
    operand = draw(values if target == 3 else st.one_of(st.integers(0, 12), leases, st.sampled_from(EDGES)))
    compare = [draw(st.integers(0, 3)), target, draw(keys), operand]
    return [*compare, draw(range_ends)] if draw(st.booleans()) else compare


def transactions(depth: int = 2) -> st.SearchStrategy[Operation]:
    """TXN that nests others ``depth`` levels deep."""
    steps = [ranges(), puts(), puts(), deletes()]
    if depth:
        steps.append(transactions(depth - 1))
    branches = st.lists(st.one_of(steps), max_size=4)
    return st.tuples(st.just(int(Op.TXN)), st.lists(compares(), max_size=2), branches, branches).map(list)


def lease_operations() -> st.SearchStrategy[Operation]:
    """LEASE_GRANT with ids chosen already, LEASE_REVOKE, LEASE_LIST."""
    ids = st.sampled_from([*LEASES, *LEASES, 0])
    ttls = st.sampled_from([-1, 0, 1, 2, 60, MAX_TTL_S, MAX_TTL_S + 1])
    return st.one_of(
        st.tuples(st.just(int(Op.LEASE_GRANT)), ids, ttls).map(list),
        st.tuples(st.just(int(Op.LEASE_REVOKE)), ids).map(list),
        st.just([int(Op.LEASE_LIST)]),
    )


def compactions() -> st.SearchStrategy[Operation]:
    """COMPACT; low revisions are likelier, so that the store stays alive."""
    low = st.one_of(st.integers(1, 12), st.integers(1, 12), revisions)
    return st.one_of(
        st.tuples(st.just(int(Op.COMPACT)), low).map(list),
        st.tuples(st.just(int(Op.COMPACT)), low, st.booleans()).map(list),
    )


def alarms() -> st.SearchStrategy[Operation]:
    """ALARM; mostly deactivation, since hardly anything works under an alarm."""
    actions = st.sampled_from([AlarmAction.GET, AlarmAction.ACTIVATE, *[AlarmAction.DEACTIVATE] * 8]).map(int)
    return st.tuples(st.just(int(Op.ALARM)), actions, st.sampled_from([0, 7, (1 << 64) - 1]), st.integers(0, 2)).map(
        list
    )


FILLING: list[Operation] = [
    [int(Op.LEASE_GRANT), 1, 60],
    *([int(Op.PUT), key, b"%d" % n, n % 2] for n, key in enumerate(KEYS[:6])),
    [int(Op.PUT), KEYS[0], b"0"],
    *([int(Op.PUT), key, b"long", 1] for key in KEYS[12:]),
    [int(Op.DELETE), KEYS[2]],
]
"""Operations that fill an empty store, to begin a sequence with: random ones alone seldom meet a key that is there."""


def operations(*, with_alarms: bool = True) -> st.SearchStrategy[Operation]:
    """Any operation of the key-value contract. Under an alarm hardly any has an effect: let some runs have none."""
    return st.one_of(
        ranges(),
        ranges(),
        puts(),
        puts(),
        puts(),
        deletes(),
        transactions(),
        transactions(),
        lease_operations(),
        lease_operations(),
        compactions(),
        alarms() if with_alarms else ranges(),
    )


msgpack_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.sampled_from([int(op) for op in Op]),
        st.integers(-(1 << 63), (1 << 64) - 1),
        st.floats(),
        st.binary(max_size=20),
        st.text(max_size=20),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=6),
        st.dictionaries(st.one_of(st.integers(0, 9), st.text(max_size=3), st.binary(max_size=3)), inner, max_size=3),
    ),
    max_leaves=20,
)
"""Anything that a msgpack decoder may hand over."""
