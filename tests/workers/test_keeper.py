"""What a replica says of the member that it belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oarlock.wire.entries import Entry, EntryKind
from oarlock.wire.frames import pack
from oarlock.wire.members import Attributes
from oarlock.wire.operations import Alarm, AlarmAction, Op
from oarlock.workers.replica_keeper import ReplicaKeeper

MEMBERS = {number: Attributes(f"m{number}", (f"tcp://m:{number}",)) for number in (1, 2)}


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[ReplicaKeeper]:
    keeper = ReplicaKeeper(tmp_path / "0", tmp_path / "snapshots", boot_id="boot", map_bytes=1 << 24)
    keeper.open(discard=False)
    keeper.identify(7, 1, MEMBERS)
    yield keeper
    keeper.close(clean=False)


def alarm(keeper: ReplicaKeeper, action: AlarmAction, member: int, kind: Alarm = Alarm.CORRUPT) -> None:
    request = [1, int(Op.ALARM), int(action), member, int(kind)]
    index = keeper.meta.applied_index + 1
    keeper.apply([Entry(index, 1, EntryKind.BATCH, 0, 0, pack([[0, 0, 0, [request]]]))], 0)


def test_a_member_is_distrusted_while_the_alarm_is_its_own(keeper: ReplicaKeeper) -> None:
    alarm(keeper, AlarmAction.ACTIVATE, 1, Alarm.NOSPACE)
    alarm(keeper, AlarmAction.ACTIVATE, 2)
    assert not keeper.is_distrusted
    alarm(keeper, AlarmAction.DEACTIVATE, 2)
    alarm(keeper, AlarmAction.ACTIVATE, 1)
    assert keeper.is_distrusted
    assert keeper.alarms == [[1, Alarm.NOSPACE], [1, Alarm.CORRUPT]]
    alarm(keeper, AlarmAction.DEACTIVATE, 1)
    assert not keeper.is_distrusted


def test_where_all_voters_differ_they_serve_so_that_the_alarm_can_be_disarmed(keeper: ReplicaKeeper) -> None:
    alarm(keeper, AlarmAction.ACTIVATE, 1)
    alarm(keeper, AlarmAction.ACTIVATE, 2)
    assert not keeper.is_distrusted


def test_a_replica_that_was_found_is_not_rebuilt_and_one_that_was_replaced_is(tmp_path: Path) -> None:
    for expected in (True, False):  # nothing is there at first
        keeper = ReplicaKeeper(tmp_path / "0", tmp_path / "snapshots", boot_id="boot", map_bytes=1 << 24)
        keeper.open(discard=False)
        assert keeper.is_rebuilt is expected
        keeper.close(clean=True)
