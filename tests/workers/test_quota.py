from __future__ import annotations

from typing import Any

import pytest

from oarlock.wire.operations import Op
from oarlock.workers.quota import Quota

PUT = [int(Op.PUT), b"k", b"v"]
RANGE = [int(Op.RANGE), b"k"]


def test_it_is_exceeded_at_the_quota_and_over_only_well_below() -> None:
    quota = Quota(1000)
    assert [quota.measure(size) for size in (999, 1000, 950, 900, 899)] == [False, True, False, False, True]
    assert not quota.is_exceeded


@pytest.mark.parametrize(
    ("request_", "costs"),
    [
        ([1, Op.PUT, b"k", b"v"], True),
        ([1, Op.LEASE_GRANT, 0, 10], True),
        ([1, Op.DELETE, b"k"], False),
        ([1, Op.LEASE_REVOKE, 7], False),
        ([1, Op.COMPACT, 7], False),
        ([1, Op.TXN, [], [RANGE], [RANGE]], False),
        ([1, Op.TXN, [], [RANGE], [PUT]], True),
        ([1, Op.TXN, [], [[int(Op.TXN), [], [], [PUT]]], []], True),
    ],
)
def test_what_needs_space(request_: list[Any], costs: bool) -> None:
    assert Quota(1).costs(request_) is costs
