"""Entries: their order, their kinds, their batches, and what must not stop a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings

from oarlock.wire.entries import EntryKind
from oarlock.wire.errors import CorruptError, NoSpaceError, ProtocolError
from oarlock.wire.members import Attributes, Member, encode_attributes, encode_published
from oarlock.wire.operations import Alarm, AlarmAction, Op, PutFlag
from oarlock.workers.apply import EntryOrderError, load_members
from tests.model.strategies import msgpack_values
from tests.workers.harness import INCARNATION, Harness

PUT = int(Op.PUT)
GROUP = [0, 0, 0, [[1, PUT, b"k", b"v"]]]


def test_a_batch_counts_only_if_it_is_the_next_of_its_incarnation(harness: Harness) -> None:
    entries = [harness.entry([GROUP], batch=batch) for batch in (1, 3, 2, 2, 3)]
    applied, _ = harness.drain(entries)
    assert [one.admitted for one in applied] == [True, False, True, False, True]
    assert (harness.replica.meta.revision, harness.replica.meta.applied_index) == (4, 5)


def test_the_ledger_survives_a_restart(harness: Harness) -> None:
    harness.drain([harness.entry([GROUP], batch=1)])
    harness.restart()
    applied, _ = harness.drain([harness.entry([GROUP], batch=batch) for batch in (1, 2)])
    assert [one.admitted for one in applied] == [False, True]


def test_replies_are_made_for_entries_of_the_own_incarnation_only(harness: Harness) -> None:
    applied, events = harness.drain(
        [harness.entry([GROUP], incarnation=5, batch=1), harness.entry([GROUP], incarnation=0, batch=0)]
    )
    assert [one.replies for one in applied] == [None, None]
    assert len(events) == 2


def test_what_a_key_was_before_a_put_is_read_only_where_somebody_asks(harness: Harness) -> None:
    harness.machine.with_previous = False
    asking = [2, PUT, b"k", b"w", 0, int(PutFlag.PREV_KV)]
    applied, events = harness.drain(
        [harness.entry([GROUP]), harness.entry([[0, 0, 0, [asking]]]), harness.entry([GROUP])]
    )
    assert [previous for _, _, previous in events] == [None] * 3
    assert applied[1].replies == [[[2, 3, (b"k", b"v", 2, 2, 1, 0)]]]
    harness.machine.with_previous = True
    _, events = harness.drain([harness.entry([GROUP])])
    assert [(previous[1], previous[3], previous[4]) for _, _, previous in events] == [(b"v", 4, 3)]


def test_what_a_lone_put_is_answered_is_known_before_it_is_applied(harness: Harness) -> None:
    harness.write([PUT, b"k", b"v"])
    for group in ([0, 0, 0, [[7, PUT, b"k", b"v"]]], [99, 1, 0, [[7, PUT, b"k", b"v"]]]):
        entry = harness.entry([group])
        assert harness.machine.foresee(entry) == [[[7, harness.replica.meta.revision + 1, None]]]
        assert harness.drain([entry])[0][0].admitted


@pytest.mark.parametrize(
    "groups",
    [
        [GROUP, GROUP],
        [[0, 0, 0, [[1, PUT, b"k", b"v"], [2, PUT, b"k", b"v"]]]],
        [[0, 0, 0, [[1, PUT, b"k", b"v", 0, int(PutFlag.PREV_KV)]]]],
        [[0, 0, 0, [[1, int(Op.DELETE), b"k", b"", 0]]]],
        [[99, 6, 0, [[6, PUT, b"k", b"v"]]]],  # sent before, and remembered
        [[99, 1, 0, [[5, PUT, b"k", b"v"]]]],  # below the floor of an earlier message
        [[99, 8, 0, [[7, PUT, b"k", b"v"]]]],  # below its own
    ],
)
def test_what_only_applying_tells_is_not_foreseen(harness: Harness, groups: list[Any]) -> None:
    harness.apply([[99, 6, 0, [[6, PUT, b"k", b"v"]]]])
    assert harness.machine.foresee(harness.entry(groups)) is None


def test_nothing_is_foreseen_where_it_would_not_be_applied_next(harness: Harness) -> None:
    first = harness.entry([GROUP])
    assert harness.machine.foresee(harness.entry([GROUP])) is None
    assert harness.machine.foresee(first._replace(batch=2)) is None
    assert harness.machine.foresee(first._replace(kind=EntryKind.LEASE_GRANT)) is None
    assert harness.machine.foresee(first) is not None
    harness.drain([harness.log.pop(0)])
    harness.log.insert(0, first)
    assert harness.machine.foresee(first) is None


def test_nothing_is_foreseen_under_an_alarm(harness: Harness) -> None:
    harness.write([int(Op.ALARM), int(AlarmAction.ACTIVATE), 1, int(Alarm.NOSPACE)])
    assert harness.machine.foresee(harness.entry([GROUP])) is None


@pytest.mark.parametrize("index", [1, 3])
def test_an_entry_out_of_order_is_refused_and_nothing_of_the_drain_applied(harness: Harness, index: int) -> None:
    with pytest.raises(EntryOrderError):
        harness.drain([harness.entry([GROUP]), harness.entry([GROUP], index=index)])
    assert harness.replica.meta.applied_index == 0
    assert harness.machine.apply_entries([harness.log[0]])[0].admitted


def test_entries_about_members_change_the_members_and_no_key(harness: Harness) -> None:
    harness.machine.initial_members = {1: Attributes("a", ("tcp://a:1",))}
    addition = msgpack.packb([[[1], [2]], [2, 2, encode_attributes(Attributes("", ("tcp://b:1",)))]])
    published = encode_published(1, Attributes("a", ("tcp://a:1",), ("tcp://a:2",)))
    entries = [(EntryKind.EMPTY, b""), (EntryKind.MEMBERSHIP, addition), (EntryKind.MEMBER_ATTRIBUTES, published)]
    entries += [(EntryKind.MEMBERSHIP, b"nonsense"), (EntryKind.MEMBER_ATTRIBUTES, b"nonsense")]
    harness.drain([harness.entry([], kind, incarnation=0, batch=0, payload=load) for kind, load in entries])
    assert (harness.replica.meta.applied_index, harness.replica.meta.revision) == (5, 1)
    assert harness.machine.members.learners == (2,)
    with harness.replica.read() as view:
        members = load_members(view, {}).listed()
    assert members == [
        Member(1, "a", ("tcp://a:1",), ("tcp://a:2",), False),
        Member(2, "", ("tcp://b:1",), (), True),
    ]


def test_a_lease_comes_in_no_entry_but_those_that_the_coordinator_reads(harness: Harness) -> None:
    grant = [[0, 0, 0, [[1, int(Op.LEASE_GRANT), 5, 60]]]]
    assert harness.apply(grant)[0][1] == -ProtocolError.code
    assert harness.apply(grant, EntryKind.LEASE_GRANT) == [[1, 1, [5, 60]]]


def test_a_drain_that_outgrows_the_map_is_applied_all_the_same(tmp_path: Path) -> None:
    harness = Harness(tmp_path / "replica", map_bytes=1 << 18)
    harness.drain([harness.entry([[9, 1, 0, [[1, PUT, b"a", b""]]]])])
    entries = [harness.entry([[9, 1, 0, [[n, PUT, b"k%d" % n, b"v" * 9000]]]]) for n in range(2, 80)]
    applied, events = harness.drain(entries)
    assert len(events) == 78
    assert [one.replies for one in applied] == [[[[n, n + 1, None]]] for n in range(2, 80)]
    harness.close()


@pytest.mark.parametrize("reads_between", [False, True])
def test_drains_that_share_a_commit_outgrow_the_map_and_none_is_lost(tmp_path: Path, reads_between: bool) -> None:
    small = Harness(tmp_path / "small", map_bytes=1 << 18)
    ample = Harness(tmp_path / "ample")
    for number in range(1, 80):
        entry = small.entry([[9, 1, 0, [[number, PUT, b"k%d" % number, b"v" * 9000]]]])
        [applied], events = small.drain([entry])
        ample.drain([entry])
        assert applied.replies == [[[number, number + 1, None]]]
        assert [kv[0] for _, kv, _ in events] == [b"k%d" % number]
        if reads_between and number % 7 == 0:
            assert small.replica.read().count(b"", None) == number
    assert small.replica.meta == ample.replica.meta
    small.replica.settle()
    assert small.replica.meta == ample.replica.meta
    for harness in (small, ample):
        harness.close()


def test_a_compaction_tells_which_replies_wait_for_space(harness: Harness) -> None:
    compact = [int(Op.COMPACT)]
    harness.write([PUT, b"a", b""], [PUT, b"a", b""])
    requests = [[1, *compact, 2], [2, *compact, 3, True], [3, *compact, 3, True]]
    [applied], _ = harness.drain([harness.entry([[0, 0, 0, []], [0, 0, 0, requests]])])
    assert applied.compacted
    assert applied.physical == ((1, 1),)


@pytest.mark.parametrize(
    ("alarm", "error", "allowed"),
    [
        (Alarm.NOSPACE, NoSpaceError, {Op.DELETE, Op.COMPACT, Op.LEASE_REVOKE}),
        (Alarm.CORRUPT, CorruptError, set()),
    ],
)
def test_an_alarm_refuses_writes_until_it_is_cleared(
    harness: Harness, alarm: Alarm, error: type[Exception], allowed: set[Op]
) -> None:
    harness.write([int(Op.LEASE_GRANT), 5, 60], [PUT, b"a", b""])
    harness.write([int(Op.ALARM), int(AlarmAction.ACTIVATE), 3, int(alarm)])
    harness.restart()
    writes: list[list[Any]] = [
        [PUT, b"a", b""],
        [int(Op.TXN), [], [], [[int(Op.TXN), [], [[PUT, b"a", b""]], []]]],
        [int(Op.LEASE_GRANT), 6, 60],
        [int(Op.DELETE), b"a"],
        [int(Op.COMPACT), 2],
        [int(Op.LEASE_REVOKE), 5],
    ]
    for write in writes:
        [reply] = harness.write(write)
        assert (reply[1] > 0) == (write[0] in allowed), write
    harness.write([int(Op.ALARM), int(AlarmAction.DEACTIVATE), 3, int(alarm)])
    assert harness.write([PUT, b"a", b""])[0][1] > 0


def test_a_revoked_lease_takes_its_keys_in_one_revision(harness: Harness) -> None:
    harness.write([int(Op.LEASE_GRANT), 5, 60], *([PUT, key, b"", 5] for key in (b"b", b"a", b"c")))
    harness.write([PUT, b"c", b""], [int(Op.LEASE_REVOKE), 5])
    assert [(kind, kv[0], kv[3]) for kind, kv, _ in harness.machine.changes] == [(1, b"a", 6), (1, b"b", 6)]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=msgpack_values)
def test_an_entry_of_any_content_is_applied_or_has_no_effect(harness: Harness, value: Any) -> None:
    for payload in (msgpack.packb(value), msgpack.packb([[3, 1, 0, [value]]]), msgpack.packb([[0, 0, 0, value]])):
        revision = harness.replica.meta.revision
        applied, events = harness.drain([harness.entry([], payload=payload)], are_checked=False)
        assert applied[0].admitted
        assert (harness.replica.meta.revision > revision) == bool(events)


def test_bytes_that_are_not_msgpack_have_no_effect(harness: Harness) -> None:
    entries = [harness.entry([], payload=b"\xc1"), harness.entry([GROUP], incarnation=INCARNATION)]
    applied, _ = harness.drain(entries, are_checked=False)
    assert [one.admitted for one in applied] == [True, True]
    assert harness.replica.meta.revision == 2
