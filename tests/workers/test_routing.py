"""Which requests a learner answers."""

from __future__ import annotations

from typing import Any

import pytest

from oarlock.wire.operations import Op, RangeFlag
from oarlock.workers.routing import is_for_learners

RANGE = [int(Op.RANGE), b"k", int(RangeFlag.SERIALIZABLE)]


@pytest.mark.parametrize("request_", [RANGE, [Op.STATUS], [Op.HELLO, 1, ""], [Op.MEMBER_LIST, True]])
def test_a_learner_tells_what_it_is_and_what_it_has(request_: list[Any]) -> None:
    assert is_for_learners([1, *request_])


@pytest.mark.parametrize(
    "request_",
    [
        [Op.RANGE, b"k"],
        [Op.RANGE, b"k", RangeFlag.KEYS_ONLY],
        [Op.TXN, [], [RANGE], []],
        [Op.PUT, b"k", b"v"],
        [Op.LEASE_KEEPALIVE, 1],
        [Op.WATCH_HISTORY, b"k", 0, b"", 1, 1, 1],
        [Op.HASH_KV],
        [Op.ALARM, 0, 0, 0],
        [Op.MEMBER_PROMOTE, 1],
        [Op.MOVE_LEADER, 1],
    ],
)
def test_everything_else_is_for_voters(request_: list[Any]) -> None:
    assert not is_for_learners([1, *request_])
